"""What every task hands to the splitter."""

from dataclasses import dataclass, field

from embedgrad_core.files import Item


@dataclass(frozen=True)
class Loaded:
    """The whole pool of one task, in the order of its source.

    ``classes`` has one entry per item: what the split stratifies by inside each level (the label of a classification
    task, the subject of a maths problem). ``provenance`` is copied into ``split.json``.
    """

    items: list[Item]
    classes: list[str]
    provenance: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.items) != len(self.classes):
            raise ValueError(f"{len(self.items)} items but {len(self.classes)} classes")
