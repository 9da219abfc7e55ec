"""How much a job of a rival trains and answers, for the forecast of its time; and which jobs there are."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import ceil

from embedgrad.config import Config
from embedgrad.planning.demand import EXAMPLES
from embedgrad.planning.work import LONGEST, Work
from embedgrad.rivals.rival import Measure, Rival, goes_on_from, seeds_of
from embedgrad.rivals.table import CONTROL, GRADIENT

# What a step of textual gradient descent asks for besides its items' answers: criticism of each, twice over, and one rewriting.
CRITICISM = 2
# Tokens of Self-Refine's own words.
REQUEST = 60


def rival_effort(rival: Rival, answers: bool, epochs: int, work: Work, others: Iterable[Rival] = ()) -> tuple[int, int]:
    """Epochs' worth of training and answers' worth of decoding.

    Args:
        rival: the method.
        answers: whether the job answers the test half, or fits.
        epochs: of the cell's own optimisation.
        work: items of the cell.
        others: methods of the same comparison; it may go on from the answers of one of them.
    """
    settings = rival.settings
    if answers:
        earlier = goes_on_from(rival, others)
        calls = 2 * (settings["rounds"] - earlier.settings["rounds"]) if earlier else 1 + 2 * settings.get("rounds", 0)
        return 0, work.test * calls
    if rival.family in GRADIENT:
        return epochs, 0
    if rival.family == "token_search":  # each candidate is a forward pass; an epoch of training is about three
        return ceil(epochs * (1 + settings["candidates"] / 3)), 0
    if rival.family == "feedback":
        steps = settings.get("steps", 0)
        asked = steps * (settings["batch"] * (1 + CRITICISM) + 1) + (steps + 1) * work.dev
        return 0, asked if steps else 2 * settings["graded_answers"]
    return 0, 0


def rival_jobs(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    """Rule and wildcards of each job by which the config's ``rivals`` are trained, answer and are timed."""
    spec = config.values.get("rivals") or {}
    seeds = spec.get("seeds", [])
    for cell, rival in config.rivals:
        wildcards = {"dataset": cell.dataset, "model": cell.model, "rival": rival.name}
        # The null control also at the rate of the cell's own optimisation, which it is held against.
        for rate in dict.fromkeys([*rival.rates, *([cell.learning_rate] if rival.name == CONTROL else [])]):
            yield "rival_rate", wildcards | {"rate": f"{rate:g}"}
        for place, seed in enumerate(seeds_of(rival, seeds)):
            if place or not rival.rates:  # the first seed's fit is among those of the rates
                yield "rival_fit", wildcards | {"seed": str(seed)}
            yield "rival_answer", wildcards | {"seed": str(seed)}
        if spec.get("latency", True):
            yield "rival_cost", wildcards


def timed_answers(rival: Rival) -> int:
    """Answers of a measurement of latency, all calls counted: the method's and as often the text prompt's, one row at a time."""
    usual = Measure()
    return (1 + usual.repeats) * usual.items * (2 + 2 * rival.settings.get("rounds", 0))


def asked(rival: Rival, work: Work) -> Work:
    """The cell's work with prompt and inputs as long as the rival's own requests have them.

    ``few_shot`` shows examples behind the prompt, more than the ladder's rungs; Self-Refine's requests quote the prompt, an answer
    and the feedback on it, here as long as they may be: memory is planned with :data:`~embedgrad.planning.work.LONGEST` times an
    input.
    """
    shots = max(0, rival.settings.get("shots", 0) - EXAMPLES)
    quoted = 2 * work.limit + work.prompt + REQUEST if rival.settings.get("rounds") else 0
    longer = work.prompt + shots * (work.input + work.target)
    return replace(work, prompt=longer, input=work.input + ceil(quoted / LONGEST))


def timed(work: Work) -> Work:
    """The cell's work with answers as long as a measurement has them."""
    return replace(work, answer=Measure().tokens, limit=Measure().tokens)
