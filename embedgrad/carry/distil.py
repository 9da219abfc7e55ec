"""Human words whose effect comes nearest to an optimised prompt's: its nearest tokens, swaps by gradient, and rewrites.

Texts are compared by the divergence of their answer distributions from the optimised prompt's (:mod:`embedgrad.carry.divergence`),
searched on training items and chosen on dev. The budget counts every pass over an item, and over the words alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from embedgrad.carry.choice import FINALISTS, Distilled, chosen
from embedgrad.carry.divergence import Teacher
from embedgrad.carry.rewrites import evolve
from embedgrad.carry.words import Budget, Candidate, Judge, surprise
from embedgrad.files.kept import KeptResults
from embedgrad.grading import Grading
from embedgrad.rivals.families.critic import Model
from embedgrad.rivals.families.token_search import Aim, TokenSearch
from embedgrad.rivals.rival import Rival
from embedgrad.runtime.progress import Progress
from embedgrad_core import Decoding, FrozenModel, Layout, PromptEmbedding, Settings
from embedgrad_core.anchoring import closest_tokens, printable_tokens
from embedgrad_core.files import Item, UserError

WAYS = ("nearest", "gradient", "rewrite")
SCREEN = 16  # training items that texts are compared on during the search
CLOSE = 64  # nearest tokens that are looked through for one that words may hold


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
    state: Path | None = None,
    log: Callable[[str], None] = print,
) -> Distilled:
    """Search for words on ``train``, choose them on ``dev``.

    Chosen is the lowest loss (divergence and fluency term) among the finalists that do not answer fewer dev items right than the
    prompt's own text does, beyond chance; that text is one of them.

    Args:
        decoding: how the optimised prompt answers; the first ``answer_tokens`` of each answer are compared.
        rewriter: the model that is asked for rewrites; by default the prompt's own.
        state: file that keeps each result; a search that was ended goes on from it to the same words.

    Raises:
        UserError: a state of another search, no items, a budget that is too small, an item that does not fit, or no text that is
            read as it is scored.
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
    decides = (prompt.content_sha256(), asdict(search), decoding.row(), grading.row())
    models = [(one.resolved, str(one.dtype), one.device.type) for one in (frozen, rewriter or frozen)]
    items = [[one.row() for one in part] for part in (train, dev)]
    kept = KeptResults(state, [*decides, models, items])
    if kept.known:
        log(f"{state}: {kept.known} results of this search were there; it goes on from them")
    teacher = Teacher.of(frozen, prompt, [*train, *dev], short, log, kept)
    judge = Judge(teacher, layout, [*train, *dev], budget, max(2 * prompt.slot.k, prompt.slot.k + 16), kept)
    budget.limit = search.budget - search.kept(len(dev))
    with Progress("distil, the prompt's own text", len(screen), log, last=False) as at:
        begun = judge.loss(prompt.slot, screen, at.update)
    assert begun is not None, "the least budget reaches for it"
    judge.fluency = search.fluency * begun[0]
    own = judge.place(prompt.slot.text)
    pool = [Candidate("text", own, judge.total(begun))] if own else []
    if "nearest" in search.ways:
        with Progress("distil, nearest", len(screen), log, last=False) as at:
            pool += _new(pool, judge.candidate("nearest", nearest_words(frozen, prompt), screen, at.update))
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
    return chosen(pool, judge, dev, grading, decoding, [*train, *dev], counts, log)


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
        judge.kept.get,
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
