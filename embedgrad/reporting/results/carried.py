"""The reports of `embedgrad transfer` and `distil` that a run left on disk.

``carry/<dataset>/<model>/from/<source>/transfer.json`` and ``carry/<dataset>/<model>/words.json``.
"""

from dataclasses import dataclass
from pathlib import Path

from embedgrad_core.files import ANY, COUNT, UserError, misfit, read_json

_SHARE = {"value": (float,), "interval": (list,)}
_GAIN = {
    "loss_gain": float,
    "loss_interval": (list,),
    "loss_p": (float,),
    "points": float,
    "interval": list,
    "p": float,
}
_LABEL_GAIN = {"label_gain": float, "label_interval": (list,), "label_p": (float,)}
_LABEL_GAIN |= {"auroc_gain": (float,), "auroc_gain_interval": (list,)}
_LABEL = {"label_loss": float, "auroc": (float,), "auroc_interval": (list,)}
_ARM = {"n": COUNT, "correct": COUNT, "loss": float}
_WORDED = {**_ARM, "tokens": COUNT, "divergence": {"mean": float, "closed": _SHARE}}
_CONTRASTS = [{"of": str, "over": str, **_GAIN}]
TRANSFER = {
    "n": COUNT,
    "by": str,
    "arms": dict.fromkeys(("text", "optimised", "transferred", "random"), _ARM),
    "contrasts": _CONTRASTS,
    "controls": {"losses": [float], "below_transferred": COUNT},
    "settings": {"steps": COUNT},
}
WORDS = {
    "n": COUNT,
    "by": str,
    "arms": dict.fromkeys(("text", "optimised", "distilled", "random_words"), _WORDED),
    "contrasts": _CONTRASTS,
    "way": str,
    "spent": COUNT,
    "settings": {"budget": COUNT},
}


@dataclass(frozen=True)
class Report:
    """One report and where it is from; ``source`` is None for words."""

    dataset: str
    model: str
    source: str | None
    found: dict

    @property
    def where(self) -> dict:
        """The columns that say which report a line is of."""
        names = {"dataset": self.dataset, "prompt of": self.source, "on": self.model}
        return names if self.source else {"dataset": self.dataset, "model": self.model}

    @property
    def is_control(self) -> bool:
        """Whether a prompt was carried to its own model."""
        return self.source == self.model


def read_transfer(path: str | Path) -> Report:
    """A report of a carried prompt.

    Raises:
        UserError: it cannot be read, or a key is missing or of the wrong kind; names both.
    """
    *_, dataset, model, _, source, _ = Path(path).parts
    return Report(dataset, model, source, _checked(path, TRANSFER))


def read_words(path: str | Path) -> Report:
    """The same of words."""
    *_, dataset, model, _ = Path(path).parts
    return Report(dataset, model, None, _checked(path, WORDS))


def _checked(path: str | Path, shape: dict) -> dict:
    found = read_json(path)
    wrong = misfit(found, shape)
    wrong = wrong or misfit(found, {"arms": {ANY: shape["arms"]["text"]}})
    wrong = wrong or misfit(found, {"arms": {name: _GAIN for name in found["arms"] if name != "text"}})
    # A closed set of answers, and no report from before 2026-11-27.
    if not wrong and "label_loss" in found["arms"]["text"]:
        wrong = misfit(found, {"arms": {ANY: _LABEL}, "contrasts": [_LABEL_GAIN]})
        wrong = wrong or misfit(found, {"arms": {name: _LABEL_GAIN for name in found["arms"] if name != "text"}})
    if wrong:
        raise UserError(f"{path}: key {wrong} is missing or of the wrong kind; delete the file and make it again.")
    whole: dict = found
    return whole


def files(folder: str | Path) -> dict[str, list[Path]]:
    """The reports that a run has, of both kinds, in order."""
    return {
        "transfer": sorted(Path(folder).glob("carry/*/*/from/*/transfer.json")),
        "words": sorted(Path(folder).glob("carry/*/*/words.json")),
    }
