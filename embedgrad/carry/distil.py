"""Human words whose effect comes nearest to an optimised prompt's: its nearest tokens, swaps by gradient, and rewrites.

Texts are compared by the divergence of their answer distributions from the optimised prompt's (:mod:`embedgrad.carry.divergence`),
searched on training items and chosen on dev. The budget counts every pass over an item, and over the words alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from embedgrad.carry.divergence import Teacher
from embedgrad.carry.rewrites import evolve
from embedgrad.carry.scores import scores_of
from embedgrad.carry.words import Budget, Candidate, Judge, surprise
from embedgrad.grading import Grading
from embedgrad.reporting.statistics import Paired, mcnemar
from embedgrad.rivals.families.critic import Model
from embedgrad.rivals.families.token_search import Aim, TokenSearch
from embedgrad.rivals.rival import Rival
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Layout, PromptEmbedding, Settings, Slot
from embedgrad_core.anchoring import closest_tokens, printable_tokens
from embedgrad_core.files import Item, UserError

WAYS = ("nearest", "gradient", "rewrite")
SCREEN = 16  # training items that texts are compared on during the search
CLOSE = 64  # nearest tokens that are looked through for one that words may hold
WORSE = 0.05  # p of McNemar's exact test below which words with fewer right answers than the text's are out
FINALISTS = {"nearest": 1, "gradient": 1, "rewrite": 2}


@dataclass(frozen=True)
class Search:
    """How words are searched for.

    Attributes:
        budget: item forwards in all, a gradient counted as three, dev included; not the optimised prompt's own answers, nor the
            right answers on dev, which the finalists alone are asked for.
        ways: of :data:`WAYS`.
        seed: of every draw.
        fluency: share of the divergence of the prompt's own text that a nat per token of a text's surprise costs: a text that is so
            much stranger must be so much nearer.
        answer_tokens: tokens of each answer along which distributions are compared.
        batch_size: items of a step by gradient.
        candidates: swaps that a step tries.
        top: tokens per position that they are drawn from.
        reply_tokens: of a rewrite at most.

    Raises:
        UserError: an unknown way, or none.
    """

    budget: int = 2000
    ways: tuple[str, ...] = WAYS
    seed: int = 0
    fluency: float = 0.1
    answer_tokens: int = 16
    batch_size: int = 8
    candidates: int = 16
    top: int = 64
    reply_tokens: int = 64

    def __post_init__(self) -> None:
        if not self.ways or set(self.ways) - set(WAYS):
            raise UserError(f"ways are {', '.join(self.ways) or 'none'}; give some of {', '.join(WAYS)}.")

    def least(self, dev: int, screen: int) -> int:
        """The smallest budget: the prompt's own text and the nearest words on the screening items, and every finalist on dev."""
        return self.kept(dev) + 2 * (screen + 1)

    def kept(self, dev: int) -> int:
        """What is kept for the choice on dev."""
        return (1 + sum(FINALISTS[way] for way in self.ways)) * (dev + 1)


@dataclass(frozen=True)
class Finalist:
    """A text on the n dev items.

    Attributes:
        text, way, tokens: what it is, how it was found, how long it is.
        divergence: of its answers from the optimised prompt's, nats per item.
        surprise: of its words, nats per token.
        loss: the divergence and the fluency term, nats per item.
        correct: right answers.
        p: of McNemar's exact test against the prompt's own text, two-sided; None for that text, or without it.
    """

    text: str
    way: str
    tokens: int
    divergence: float
    surprise: float
    loss: float
    correct: int
    n: int
    p: float | None = None


@dataclass(frozen=True)
class Distilled:
    """The chosen words.

    Attributes:
        slot: their text, and the tokens that were scored.
        way: how they were found; ``text`` where nothing was better than the prompt's own words.
        finalists: what was chosen from.
        spent: item forwards.
        counts: of the rewrites, and the texts that were refused.
    """

    slot: Slot
    way: str
    finalists: list[Finalist]
    spent: int
    counts: dict


def distil(
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    train: Sequence[Item],
    dev: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    search: Search,
    *,
    rewriter: FrozenModel | None = None,
    log: Callable[[str], None] = print,
) -> Distilled:
    """Search for words on ``train``, choose them on ``dev``.

    Chosen is the lowest loss (divergence and fluency term) among the finalists that do not answer fewer dev items right than the
    prompt's own text does, beyond chance; that text is one of them.

    Args:
        decoding: how the optimised prompt answers; the first ``answer_tokens`` of each answer are compared.
        rewriter: the model that is asked for rewrites; by default the prompt's own.

    Raises:
        UserError: no items, a budget that is too small, an item that does not fit, or no text that is read as it is scored.
    """
    if not train or not dev:
        raise UserError("words are searched on training items and chosen on dev items; give at least one of each.")
    budget = Budget(search.budget)
    screen = random.Random(f"screen {search.seed}").sample(list(train), min(SCREEN, len(train)))
    if search.budget < (least := search.least(len(dev), len(screen))):
        raise UserError(
            f"budget {search.budget} does not reach: {len(screen)} training items and the choice on {len(dev)} dev items take "
            f"{least} forward passes; give more, or fewer dev items."
        )
    layout = prompt.slot.layout
    short = replace(decoding, max_new_tokens=min(search.answer_tokens, decoding.max_new_tokens))
    teacher = Teacher.of(frozen, prompt, [*train, *dev], short, log)
    judge = Judge(teacher, layout, [*train, *dev], budget, max(2 * prompt.slot.k, prompt.slot.k + 16))
    budget.limit = search.budget - search.kept(len(dev))
    begun = judge.loss(prompt.slot, screen)
    assert begun is not None, "the least budget reaches for it"
    judge.fluency = search.fluency * begun[0]
    own = judge.place(prompt.slot.text)
    pool = [Candidate("text", own, judge.total(begun))] if own else []
    if "nearest" in search.ways:
        pool += _new(pool, judge.candidate("nearest", nearest_words(frozen, prompt), screen))
    if not pool:
        raise UserError(
            "neither the prompt's text nor its nearest words are read as they would be scored; give other data."
        )
    counts: dict = {}
    for way in ("gradient", "rewrite"):
        if way not in search.ways:
            continue
        room = search.budget - search.kept(len(dev)) - budget.spent
        later = way == "gradient" and "rewrite" in search.ways
        budget.limit = budget.spent + (room // 2 if later else room)
        with Progress(f"distil, {way}", budget.limit - budget.spent, log, unit="forwards") as at:
            if way == "gradient":
                pool += _new(pool, _by_gradient(pool, judge, train, screen, search, at))
            else:
                asked = _asked(rewriter or frozen, replace(decoding, max_new_tokens=search.reply_tokens), log)
                length = [
                    len(prompt.slot.head_ids) + prompt.slot.k + one.length
                    for one in teacher.encode(prompt.slot, screen)
                ]
                found, counts = evolve(
                    *(pool, judge, screen, asked, sum(length) // len(length), search.seed),
                    on_proposal=_shown(budget, at),
                )
                pool += found
    budget.limit = search.budget
    return _chosen(pool, judge, dev, grading, decoding, [*train, *dev], counts, log)


def nearest_words(frozen: FrozenModel, prompt: PromptEmbedding) -> str:
    """Each vector's cosine-nearest token that words may hold, or the prompt's own; as a text, however it may be read again."""
    allowed = printable_tokens(frozen)
    ids = []
    for own, row in zip(prompt.slot.prompt_ids, closest_tokens(frozen, prompt.vectors, CLOSE)[1].tolist(), strict=True):
        ids.append(next((token for token in row if allowed[token] or token == own), own))
    if tuple(ids) == prompt.slot.prompt_ids:
        return prompt.slot.text
    return frozen.tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def _new(pool: Sequence[Candidate], one: Candidate | None) -> list[Candidate]:
    """A candidate, unless its text is there already."""
    return [one] if one and one.slot.text not in {other.slot.text for other in pool} else []


def _by_gradient(
    pool: Sequence[Candidate], judge: Judge, train: Sequence[Item], screen: Sequence[Item], search: Search, at: Progress
) -> Candidate | None:
    """GCG from the best text so far; the best of its epochs on the screening items."""
    frozen, shown = judge.frozen, _shown(judge.budget, at)

    def take(forwards: int) -> bool:
        shown()
        return judge.budget.take(forwards)

    best = min(pool, key=lambda one: one.loss)
    settings = {"positions": "all", "candidates": search.candidates, "top": search.top}
    gcg = Rival("gcg", "token_search", "Zou et al. 2023", (), settings)
    aim = Aim(
        judge.teacher.trainable,
        judge.teacher.encode,
        lambda slot: judge.fluency * surprise(frozen, slot),
        take,
    )
    epochs = Settings(epochs=search.budget, batch_size=search.batch_size, seed=search.seed, patience=0)
    found = TokenSearch(
        *(frozen, judge.layout, best.slot.text, gcg, train, screen, epochs), log=lambda line: None, aim=aim
    )
    text, history = found.run()
    slot = judge.place(text)
    return Candidate("gradient", slot, min(line["dev_loss"] for line in history)) if slot and history else None


def _shown(budget: Budget, at: Progress) -> Callable[[], None]:
    """Shows what has been spent since now."""
    begun = budget.spent
    return lambda: at.update(budget.spent - begun)


def _asked(rewriter: FrozenModel, decoding: Decoding, log: Callable[[str], None]) -> Model | None:
    """The model as it is asked for rewrites; None without a chat template."""
    if not rewriter.tokenizer.chat_template:
        log(f"{rewriter.name} has no chat template and cannot be asked for rewrites: texts are only cut and joined")
        return None
    return Model(rewriter, Layout("chat"), decoding)


def best_of(rows: Sequence[Finalist]) -> int:
    """The place of the lowest loss among the finalists that do not answer worse than the prompt's own text beyond chance."""
    own = next((row.correct for row in rows if row.way == "text"), 0)
    worse = [row.correct < own and row.p is not None and row.p < WORSE for row in rows]
    return min(range(len(rows)), key=lambda place: (worse[place], rows[place].loss))


def _chosen(
    pool: Sequence[Candidate],
    judge: Judge,
    dev: Sequence[Item],
    grading: Grading,
    decoding: Decoding,
    labels: Sequence[Item],
    counts: dict,
    log: Callable[[str], None],
) -> Distilled:
    """The finalists on dev, and the best of them."""
    slots: list[Slot] = []
    rows: list[Finalist] = []
    own: list[bool] = []
    for way, count in {"text": 1, **FINALISTS}.items():
        for one in sorted((one for one in pool if one.way == way), key=lambda one: one.loss)[:count]:
            found = judge.loss(one.slot, dev)
            assert found is not None, "the budget keeps enough for the choice"
            vectors = PromptEmbedding.from_text(judge.frozen, one.slot).initial
            named = (f"{way} on dev", judge.frozen, one.slot, vectors, dev, grading, decoding, labels, log)
            correct = scores_of(*named).correct
            p, right = None, sum(correct)
            if way == "text":
                own = correct
            elif own:
                pairs = Paired.of(own, correct)
                p = mcnemar(pairs.only_before, pairs.only_after)[0]
            slots.append(one.slot)
            rows.append(Finalist(one.slot.text, way, one.slot.k, *found, judge.total(found), right, len(dev), p))
            told = f"{way}: divergence {found[0]:.4g} nats per item, surprise {found[1]:.3g} nats per token"
            log(f"{told}, {right} of {len(dev)} right on dev: {one.slot.text!r}")
    place = best_of(rows)
    counts = counts | {"texts_refused": judge.refused}
    return Distilled(slots[place], rows[place].way, rows, judge.budget.spent, counts)
