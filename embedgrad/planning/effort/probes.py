"""How much a probe's job trains, answers and reads, for the forecast of its time; which probes' jobs there are, and their sizes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from embedgrad.config import Config
from embedgrad.planning.work import Work

# What the key `probe_sizes` may change: test items of a task that are answered under each condition, test inputs that are read for
# memory, epochs of the run that looks for overfitting, twice the paper's, and how often shuffled targets are dealt.
SIZES = {"answered": 32, "texts": 64, "epochs": 20, "dealings": 1}
# Robustness answers the items as they are and under six changes.
CONDITIONS = 7
# Of an input that may have been learned by heart so much is given, and so many tokens are looked at, as the probe itself has it.
GIVEN, MOST_TOKENS = 0.6, 256
# Those that load a model: some train it.
TRAINING = ("probe_shuffled", "probe_trajectory")
ANSWERING = ("probe_calibration", "probe_contamination", "probe_robustness", "probe_transfer_matrix")


@dataclass(frozen=True)
class Effort:
    """What one job does.

    Attributes:
        epochs: passes over the training items, forward and backward, each with its check on dev.
        answered: how many items are answered, with their lengths.
        read: tokens that run forward once.
        rows: of how many items they are.
    """

    epochs: int = 0
    answered: tuple[tuple[int, Work], ...] = ()
    read: int = 0
    rows: int = 0


def probe_sizes(values: Mapping) -> dict[str, int]:
    """The sizes of a configuration's probes."""
    return {**SIZES, **values.get("probe_sizes", {})}


def probe_jobs(config: Config) -> Iterator[tuple[str, dict[str, str]]]:
    """Rule and wildcards of each job of the config's probes, their tables aside."""
    for name in config.values.get("probes", []):
        for cell in config.probed_cells(name):
            seed = str(config.seeds(cell.task)[0])
            yield f"probe_{name}", {"dataset": cell.dataset, "model": cell.model, "seed": seed}


def probe_effort(
    rule: str, values: Mapping, task: str, work: Work, others: Mapping[str, Work], labelled: bool, epochs: int
) -> Effort:
    """What a probe's rule does for one cell.

    Args:
        rule: its name.
        values: the configuration.
        task: of the cell.
        work: of the cell.
        others: of every task that the model has.
        labelled: whether the answers are labels, which are read as well as written.
        epochs: passes over the training items that the cell's own optimisation makes.
    """
    sizes = probe_sizes(values)
    asked = min(sizes["answered"], work.test)
    tokens = work.input + work.target
    after = replace(work, answer=work.trained)
    if rule == "probe_shuffled":
        dealings = sizes["dealings"]
        read = (1 + dealings) * work.test * labelled
        return Effort(dealings * epochs, ((dealings * work.test, after),), read * tokens, read)
    if rule == "probe_trajectory":  # each epoch reads the targets of dev and test, and the likeliest label
        read = (sizes["epochs"] + 1) * (work.dev + work.test) * (1 + labelled)
        return Effort(sizes["epochs"], (), read * tokens, read)
    if rule == "probe_robustness":
        return Effort(answered=((CONDITIONS * asked, work), (CONDITIONS * asked, after)))
    if rule == "probe_transfer_matrix":
        answered = [(min(sizes["answered"], one.test), one) for one in others.values()]
        # The prompt writes what it was trained to write, whatever it is asked.
        limit = 2 * work.trained if labelled else work.limit
        learned = [
            (count, replace(one, answer=min(one.limit, work.trained), limit=min(one.limit, limit)))
            for count, one in answered
        ]
        read = 2 * sum(count for count, _ in answered) * labelled
        return Effort(0, (*answered, *learned), read * tokens, read)
    if rule == "probe_contamination":
        texts, length = 2 * min(sizes["texts"], work.test), min(work.input, MOST_TOKENS)
        given = round(GIVEN * length)
        text = replace(work, prompt=0, input=given, answer=length - given, limit=length - given, levels=(1.0,))
        return Effort(0, ((texts, text),), texts * length, texts)
    if rule == "probe_calibration" and values["tasks"][task].get("rewrite") and labelled:
        return Effort(0, (), work.test * tokens, work.test)
    return Effort()
