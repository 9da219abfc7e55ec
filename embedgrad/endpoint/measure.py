"""One or two text prompts on the items of a data set: asked, graded, compared."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from embedgrad.endpoint.client import Client
from embedgrad.endpoint.cost import CHARACTERS, Estimate, Prices
from embedgrad.endpoint.kept import Answer, KeptAnswers
from embedgrad.endpoint.questions import Asking, Question
from embedgrad.evaluation import Evaluation, evaluation_of
from embedgrad.grading import Grading
from embedgrad.runtime.progress import Progress
from embedgrad_core.files import Item, UserError, sha256_of_bytes

SIDES = ("before", "after")


@dataclass
class Session:
    """The questions of one command, with the answers that are there.

    Attributes:
        asking: how they are put.
        texts: one prompt, or two to compare.
        items: what is asked.
        kept: where answers lie.
        any_model: take answers of another model than the one asked for.
    """

    asking: Asking
    texts: Sequence[str]
    items: Sequence[Item]
    kept: KeptAnswers
    any_model: bool = False

    def __post_init__(self) -> None:
        self.questions = {
            side: self.asking.questions(text, self.items) for side, text in zip(SIDES, self.texts, strict=False)
        }
        self.different = {one.key: one for asked in self.questions.values() for one in asked.values()}
        self.answers = {
            key: answer for key, one in self.different.items() if (answer := self.kept.find(one)) is not None
        }
        self.had = len(self.answers)

    @property
    def missing(self) -> list[Question]:
        """What is still to be asked, each question once."""
        return [one for key, one in self.different.items() if key not in self.answers]

    def ask(
        self, client: Client, log: Callable[[str], None], prices: Prices | None = None, most: float | None = None
    ) -> None:
        """Ask what is missing; each answer is on the disk before the next one counts.

        Args:
            client: to the server.
            log: where progress goes.
            prices: of tokens.
            most: stop when the tokens that the server counted have cost more.

        Raises:
            UserError: the server fails, or answers as another model; the answers cost too much.
        """
        for answer in self.answers.values():
            self._check_model(answer)
        if not (missing := self.missing):
            return
        spent = 0.0

        def on_answer(question: Question, answer: Answer) -> None:
            nonlocal spent
            self.kept.add(question, answer, self.asking.address.host)  # first: it is paid for, whatever comes now
            self.answers[question.key] = answer
            at.advance()
            self._check_model(answer)
            if prices is not None and most is not None:
                spent += prices.of(answer.prompt_tokens or 0, answer.completion_tokens or 0)
                if spent > most:
                    raise UserError(f"the answers have cost {spent:.4g}, more than --max-cost {most:g}; they are kept.")

        with Progress("answers", len(self.different), log, done=self.had) as at:
            asyncio.run(client.ask(missing, on_answer))
        if client.retried:
            log(f"asked again: {', '.join(f'{kind} {count}' for kind, count in sorted(client.retried.items()))}")

    def _check_model(self, answer: Answer) -> None:
        asked = self.asking.model
        if answer.model != asked and not self.any_model:
            named = f"as {answer.model!r}" if answer.model else "without naming a model"
            raise UserError(
                f"{self.asking.address}: was asked for {asked!r} and answers {named}; ask for the model by the name that it "
                "answers to, or take what it is (--allow-other-model). The answers so far are kept."
            )

    def evaluation(self, grading: Grading, data: str, sent: int) -> Evaluation:
        """The graded comparison; all answers must be there."""
        graded = {
            side: {item.id: grading.line(self._row(item, asked[item.id]), item.answer) for item in self.items}
            for side, asked in self.questions.items()
        }
        return evaluation_of(self.items, graded, 0, self._measured(data, sent))

    def _row(self, item: Item, question: Question) -> dict:
        """As a decoded answer; where the server counts no tokens, characters stand for them."""
        answer = self.answers[question.key]
        tokens = -(-len(answer.text) // CHARACTERS) if answer.completion_tokens is None else answer.completion_tokens
        return {"id": item.id, "output": answer.text, "n_tokens": tokens, "stop": answer.stop, "entropy_bits": None}

    def _measured(self, data: str, sent: int) -> dict:
        """Whose numbers these are, with the keys of :func:`embedgrad.evaluation.measured` and what an endpoint adds."""
        used = [self.answers[key] for key in self.different]
        dates = sorted(answer.answered for answer in used)
        prompts = {side: {"text": text, "sha256": sha256_of_bytes(text.encode())} for side, text in self._texts.items()}
        served = Counter(answer.model for answer in used)
        counted = [
            answer for answer in used if answer.prompt_tokens is not None and answer.completion_tokens is not None
        ]
        return {
            "prompt": prompts,
            "model": {"name": self.asking.model, "resolved": next(iter(served)) if len(served) == 1 else "several"},
            "data": data,
            "keep_seen": False,
            "seen": None,
            "endpoint": {
                **self.asking.row(),
                "served": dict(sorted(served.items())),
                "fingerprints": sorted({answer.fingerprint for answer in used if answer.fingerprint}),
                "answered": {"first": dates[0], "last": dates[-1]},
                "questions": len(self.different),
                "kept_before": self.had,
                "requests": sent,
                "tokens": {
                    "answers_counted": len(counted),
                    "input": sum(answer.prompt_tokens or 0 for answer in counted),
                    "output": sum(answer.completion_tokens or 0 for answer in counted),
                },
            },
        }

    @property
    def _texts(self) -> Mapping[str, str]:
        return dict(zip(SIDES, self.texts, strict=False))


def check_consent(found: Estimate, yes: bool, most: float | None) -> None:
    """Check that somebody agreed to what the questions cost.

    Raises:
        UserError: nobody did, or they cost more than ``most``, or what they cost is unknown; says the estimate.
    """
    if not found.requests:
        return
    if most is not None:
        if found.cost is None:
            raise UserError(f"--max-cost {most:g}: {found}; give the price and a limit of tokens.")
        if found.cost > most:
            raise UserError(
                f"--max-cost {most:g} is less than this may cost: {found}; give a higher one or fewer items."
            )
    elif not yes:
        raise UserError(f"this sends {found}; agree with --yes, or bound it with --max-cost.")
