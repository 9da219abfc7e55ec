"""``optimize.jsonl``: one line per epoch, as the optimisation wrote it."""

from collections.abc import Sequence
from pathlib import Path

from embedgrad_core.files import UserError, is_number, read_jsonl

_NUMBERS = ("train_loss", "dev_loss", "dev_accuracy", "seconds", "drift")


def read_history(path: str | Path) -> list[dict]:
    """The epochs of an optimisation; losses, accuracy, drift and seconds are numbers, null, or not there; ``dev_losses`` a list.

    Raises:
        UserError: a malformed line, or a value of the wrong kind; names the file and the line.
    """
    rows = read_jsonl(path, ("epoch",))
    for number, row in enumerate(rows, start=1):
        epoch = row["epoch"]
        if not isinstance(epoch, int) or not is_number(epoch) or epoch < 0:
            raise UserError(f"{path}:{number}: 'epoch' must be a whole number; delete the file and optimise again.")
        for key in _NUMBERS:
            if row.get(key) is not None and not is_number(row[key]):
                raise UserError(f"{path}:{number}: {key!r} must be a number; delete the file and optimise again.")
        items = row.get("dev_losses", [0])
        if not isinstance(items, list) or not items or not all(map(is_number, items)):
            raise UserError(f"{path}:{number}: 'dev_losses' must be numbers; delete the file and optimise again.")
    return rows


def history_of(metrics: dict, path: str | Path) -> list[dict]:
    """The epochs that ``metrics`` summed up: a file that is cut at the end of a line is whole line by line.

    Raises:
        UserError: as :func:`read_history`; or other epochs than the metrics and the optimisation's sidecar state.
    """
    rows, stated = read_history(path), metrics["training"]
    check_epochs(rows, metrics["prompt"].get("epochs_run"), path)
    found = training(rows) or {}
    if stated is not None and any(found.get(key) != value for key, value in stated.items()):
        raise UserError(
            f"{path}: not the epochs that metrics.json states; the file was cut short or made anew since. Delete it and "
            "optimise again."
        )
    return rows


def check_epochs(rows: Sequence[dict], epochs: object, path: str | Path) -> None:
    """A history must hold as many epochs, the text's own before them, as the optimisation says it ran.

    Raises:
        UserError: it does not.
    """
    if isinstance(epochs, int) and len(rows) != epochs + 1:
        raise UserError(
            f"{path}: {len(rows)} lines, but {epochs} epochs were run, which make {epochs + 1}; the file was cut short. Delete "
            "it and optimise again."
        )


def training(history: Sequence[dict]) -> dict | None:
    """First and last losses (nats per item); an epoch stopped by a non-finite loss has none."""
    lines = [line for line in history if line.get("dev_loss") is not None]
    if not lines:
        return None
    return {
        "epochs": lines[-1]["epoch"],
        "dev_loss_first": lines[0]["dev_loss"],
        "dev_loss_best": min(line["dev_loss"] for line in lines),
        "dev_loss_last": lines[-1]["dev_loss"],
        "train_loss_last": lines[-1].get("train_loss"),
        "drift_last": lines[-1].get("drift"),
        "seconds": sum(line.get("seconds") or 0.0 for line in history),
    }
