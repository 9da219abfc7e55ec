"""What a family of rivals offers: something to train, and a way to answer with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from embedgrad.rivals.rival import Rival
from embedgrad_core import FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.attention import Past
from embedgrad_core.training.trainable import Trainable


@dataclass(frozen=True)
class Served:
    """How a rival answers: what stands before each input. Its modules, if it has any, are in the network already.

    Attributes:
        slot: the prompt's place; head and inputs come from it.
        vectors: (k, d) what stands in the prompt's place.
        past: keys and values before everything, or None.
        head: how many of them are the template's own, which every answer reads.
    """

    slot: Slot
    vectors: torch.Tensor
    past: Past | None = None
    head: int = 0

    @property
    def positions(self) -> int:
        """Positions that an answer takes besides template, input and answer itself."""
        return len(self.vectors) + (len(self.past) if self.past else 0) - self.head


@dataclass(frozen=True)
class Begun:
    """A gradient rival before its first step.

    Attributes:
        trainable: its leaves and its loss.
        slot: the prompt's place, by which items are encoded.
        store: best leaves → the tensors that answering needs, by name; often fewer than are trained.
        identity: whether it starts as the text prompt: its loss before the first step is then the text prompt's.
    """

    trainable: Trainable
    slot: Slot
    store: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]]
    identity: bool


class Family(Protocol):
    """A module of gradient rivals."""

    def begin(
        self, frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int, steps: int
    ) -> Begun:
        """Make what is trained.

        Args:
            frozen: the model; modules may be put into its network, so that nothing else may use it afterwards.
            slot: where the human prompt sits.
            rival: name and settings.
            train: the training items.
            seed: of what is drawn at random.
            steps: that the loop takes if nothing stops it early.

        Raises:
            UserError: a model, data or settings that the method cannot take.
        """
        ...

    def serve(self, frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
        """Put stored tensors to work; the same conditions hold."""
        ...


def serve_from_network(frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
    """Stored tensors in the network's trainable parameters, which are trainable no longer, behind the text prompt.

    Raises:
        UserError: other parameters, or of another shape, than those stored.
    """
    places = {name: leaf for name, leaf in frozen.network.named_parameters() if leaf.requires_grad}
    shapes, stored = ({name: one.shape for name, one in ones.items()} for ones in (places, tensors))
    if shapes != stored:
        other = min(name for name in {*shapes, *stored} if shapes.get(name) != stored.get(name))
        raise UserError(
            f"rival {rival.name}: the file and the model differ in tensor {other!r}; it is of another model."
        )
    with torch.no_grad():
        for name, leaf in places.items():
            leaf.copy_(tensors[name])
            leaf.requires_grad_(False)
    return Served(slot, PromptEmbedding.from_text(frozen, slot).initial)


def relative_drift(leaves: Mapping[str, torch.Tensor]) -> Callable[[], float]:
    """The drift of any leaves from where they are now: the length of all their moves over that of all of them."""
    start = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    length = _length(start.values())

    def drift() -> float:
        return _length(leaf.detach() - start[name] for name, leaf in leaves.items()) / max(length, 1e-12)

    return drift


def _length(tensors: Any) -> float:
    return float(torch.stack([tensor.float().square().sum() for tensor in tensors]).sum().sqrt())


def drawn(seed: int) -> Any:
    """Within the block, the global generator starts at ``seed``, and is as before afterwards: libraries draw from it."""
    context = torch.random.fork_rng(devices=[])

    class Seeded:
        def __enter__(self) -> None:
            context.__enter__()
            torch.manual_seed(seed)

        def __exit__(self, *details: object) -> None:
            context.__exit__(*details)

    return Seeded()
