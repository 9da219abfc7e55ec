"""``optimize.jsonl``: one line an epoch, as the optimisation wrote it."""

from pathlib import Path

from contracts import UserError, is_number, read_jsonl

_NUMBERS = ("train_loss", "dev_loss", "dev_accuracy", "seconds", "drift")


def read_history(path: str | Path) -> list[dict]:
    """The epochs of an optimisation; losses, accuracy, drift and seconds are numbers, null, or not there.

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
    return rows
