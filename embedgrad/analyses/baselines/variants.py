"""What the text prompt's answers depend on, and the paper does not say: each variant is a decoding of its own.

* ``system_message``: in the chat template: the template's own, an empty one, or none (and the run's own, where it gives one)
* ``repetition_penalty``: none, or what the model's ``generation_config.json`` ships: transformers' ``generate`` applies it to
  greedy decoding too, unasked
* ``edition``: the run's own texts of the data set, or those of its other edition

All combinations are answered, since choices may work together; two that give the model the same tokens are answered once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from embedgrad.analyses.baselines.text_answers import TextAnswers
from embedgrad.planning.work import AXES
from embedgrad.tasks.editions import Edition
from embedgrad_core import Layout
from embedgrad_core.files import Item, UserError
from embedgrad_core.layout import DEFAULT, GIVEN, NONE

EMPTY, SHIPPED = "empty", "shipped"


@dataclass(frozen=True)
class Variant:
    """One decoding.

    Attributes:
        protocol: what the axes are, those that make a difference here.
        layout: where the prompt sits.
        penalty: of repetition.
        edition: whose texts are answered; None is the run's own.
    """

    protocol: dict[str, str]
    layout: Layout
    penalty: float | None
    edition: Edition | None

    @property
    def name(self) -> str:
        """For the log."""
        return ", ".join([f"{self.layout.kind} layout", *(f"{axis} {value}" for axis, value in self.protocol.items())])

    def shown(self, items: Sequence[Item]) -> list[Item]:
        """The items with the texts of the edition.

        Raises:
            UserError: the edition lacks one; names it.
        """
        if not self.edition or self.edition.inputs is None:
            return list(items)
        if missing := [item for item in items if item.id not in self.edition.inputs]:
            raise UserError(f"{missing[0].name}: the edition {self.edition.name!r} lacks it; make its file again.")
        return [replace(item, input=self.edition.inputs[item.id]) for item in items]


def variants(
    texts: TextAnswers, axes: Sequence[str], edition: Edition | None, log: Callable[[str], None]
) -> tuple[list[Variant], dict[str, str], dict[str, str]]:
    """Every decoding that the axes ask for, the run's own layouts first; the run's own values; and axes without values, and why.

    Raises:
        UserError: an axis that is not known.
    """
    if unknown := [axis for axis in axes if axis not in AXES]:
        raise UserError(f"axis {unknown[0]!r} of protocol recovery is unknown; choose among {', '.join(AXES)}.")
    own, left_out = {}, {}
    penalties: dict[str, float | None] = {"": texts.decoding.repetition_penalty}
    if "repetition_penalty" in axes:
        known, mine = _penalties(texts)
        if len(known) > 1:
            penalties, own["repetition_penalty"] = known, mine
        else:
            left_out["repetition_penalty"] = "the model's files ship none"
    editions: dict[str, Edition | None] = {"": None}
    if "edition" in axes:
        if edition and edition.inputs is not None:
            editions, own["edition"] = {edition.own: None, edition.name: edition}, edition.own
        else:
            left_out["edition"] = edition.why if edition else "the data set has no other edition"
    found = []
    for kind in texts.kinds:
        systems: dict[str, Layout] = {"": texts.in_layout(kind)}
        if "system_message" in axes and kind == "chat":
            if texts.layout.slot == "system":
                left_out["system_message"] = "the prompt is the system message"
            else:
                systems = _systems(texts, log)
                own |= {"system_message": _name(texts.layout)} if texts.layout.kind == "chat" else {}
        for (text, release), (number, penalty), (system, layout) in product(
            editions.items(), penalties.items(), systems.items()
        ):
            named = {"system_message": system, "repetition_penalty": number, "edition": text}
            found.append(Variant({axis: value for axis, value in named.items() if value}, layout, penalty, release))
    if "system_message" in axes and "chat" not in texts.kinds:
        left_out["system_message"] = "the model has no chat template"
    return found, own, left_out


def _penalties(texts: TextAnswers) -> tuple[dict[str, float | None], str]:
    """The penalties by name, and the name of the run's own."""
    own, shipped = texts.decoding.repetition_penalty, texts.frozen.shipped_penalty
    values: dict[str, float | None] = {NONE: None} | ({SHIPPED: shipped} if shipped else {})
    name = next((name for name, value in values.items() if value == own), str(own))
    return {**values, name: own}, name


def _name(layout: Layout) -> str:
    return layout.system if layout.system != GIVEN or layout.system_message else EMPTY


def _systems(texts: TextAnswers, log: Callable[[str], None]) -> dict[str, Layout]:
    """The chat layouts that differ in their system message, the run's own first; those that the template refuses are left out."""
    own = texts.in_layout("chat")
    empty = replace(own, system=GIVEN, system_message="")
    found = {_name(own): own, EMPTY: empty, DEFAULT: replace(empty, system=DEFAULT), NONE: replace(empty, system=NONE)}
    for name, layout in list(found.items()):
        try:
            texts.slot(layout)
        except UserError as error:
            if layout == own:
                raise
            del found[name]
            log(f"protocol search: no system message {name!r}, {error}")
    return found
