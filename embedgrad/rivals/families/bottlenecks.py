"""Adapters of Houlsby and of Pfeiffer, AdapterDrop, AdapterFusion: small modules between the frozen ones; the prompt stays as text.

The library ``adapters`` makes the modules and hooks them in, in an environment of its own (:mod:`embedgrad.rivals.environment`);
loss and decoder are the core's. Always through its plugin interface: its own classes for Llama ignore the cache and answer wrongly
(docs/rivals_libraries.md). Adapters are initialised with a zero upper projection, so that they start as the text prompt.

They stay float32, and so does what they compute: where the model is in bfloat16, their input is cast and their output cast back.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from embedgrad.rivals.environment import library_of
from embedgrad.rivals.families.method import Begun, Served, drawn, relative_drift, serve_from_network
from embedgrad.rivals.rival import Rival
from embedgrad_core import FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import Example, target_loss
from embedgrad_core.training.trainable import Trainable

ADAPTER = re.compile(r"\.adapters\.(\w+)\.")
FUSION = ".adapter_fusion_layer."
# Behind attention and behind the MLP; behind the MLP alone.
CONFIGS = {"houlsby": "DoubleSeqBnConfig", "pfeiffer": "SeqBnConfig"}


def begin(frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int, steps: int) -> Begun:
    """See :class:`~embedgrad.rivals.families.method.Family`."""
    fuses, robust = "fuse" in rival.settings, rival.settings.get("robust", False)
    levels = _levels(rival, train, steps) if fuses else []
    names = [f"level{place}" for place in range(len(levels))] or ["rival"]
    dropped = _dropped(frozen, rival)
    base = _inject(frozen, rival, names, 0 if robust else dropped, seed)
    layer_of = {leaf: place for place, layer in base.iter_layers() for leaf in layer.parameters()}
    leaves = {name: leaf for name, leaf in frozen.network.named_parameters() if leaf.requires_grad}
    vectors = PromptEmbedding.from_text(frozen, slot).initial.to(frozen.device)
    # Which adapters a step trains depends on how many were taken: a number that is saved with the leaves.
    taken = torch.zeros((), dtype=torch.int64)

    def plain(examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        return target_loss(frozen, slot, vectors, examples)

    def while_dropping(examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        """Training leaves out the first n layers, n drawn anew for each step; everything else as many as answering does."""
        first = dropped
        if torch.is_grad_enabled():
            generator = torch.Generator().manual_seed(seed * 1_000_003 + int(taken))
            first = int(torch.randint(len(list(base.iter_layers())), (), generator=generator))
            for leaf in leaves.values():
                leaf.requires_grad_(layer_of[leaf] >= first)
        base.set_active_adapters(names[0], skip_layers=list(range(first)))
        return plain(examples)

    place_of = {item.id: levels.index(str(item.level)) for item in train} if fuses else {}

    def adapters_then_fusion(examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        """The first half of the steps trains each level's adapter on its own items, the second what fuses them."""
        fusing = int(taken) >= steps // 2
        if torch.is_grad_enabled():
            for name, leaf in leaves.items():
                leaf.requires_grad_((FUSION in name) is fusing)
        if fusing or not torch.is_grad_enabled():
            base.set_active_adapters(_fuse(rival, names))
            value, count = plain(examples)
            if torch.is_grad_enabled():  # a share of it with each item, so that micro-batches add up to one
                value = value + len(examples) * base.get_fusion_regularization_loss()
            return value, count
        total, targets = vectors.new_zeros(()), 0
        for place, name in enumerate(names):
            own = [example for example in examples if place_of[example.id] == place]
            base.set_active_adapters(name)
            value, count = plain(own) if own else (None, 0)
            parts = [leaf for key, leaf in leaves.items() if f".adapters.{name}." in key]
            total, targets = total + _with_gradient(value, parts), targets + count
        return total, targets

    loss: Callable[[Sequence[Example]], tuple[torch.Tensor, int]] = plain
    hooks: dict[str, Any] = {}
    if robust or fuses:
        loss = while_dropping if robust else adapters_then_fusion
        hooks = {"buffers": lambda: {"steps taken": taken}, "after_step": lambda done: taken.fill_(done)}
    if fuses:
        hooks["may_win"] = lambda done: done > steps // 2

    def store(best: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: leaf.cpu() for name, leaf in best.items() if layer_of[leaves[name]] >= dropped}

    identity = (rival.name, dict(rival.settings), seed, steps, levels, slot.header(), slot.prompt_ids)
    shared = len(slot.head_ids) + slot.k
    trainable = Trainable(frozen, leaves, shared, loss, relative_drift(leaves), identity, **hooks)
    return Begun(trainable, slot, store, identity=True)


def serve(frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
    """The adapters in the network, with the stored tensors in them, behind the text prompt."""
    names = sorted({found[1] for found in map(ADAPTER.search, tensors) if found}, key=lambda name: (len(name), name))
    _inject(frozen, rival, names or ["rival"], _dropped(frozen, rival), 0)
    return serve_from_network(frozen, slot, rival, tensors)


def _inject(frozen: FrozenModel, rival: Rival, names: Sequence[str], leave_out: int, seed: int) -> Any:
    """Put adapters of these names into all layers but the first ``leave_out``, the only parameters that want a gradient.

    Returns the library's base model; all adapters are switched on, fused where there are several.
    """
    settings, network = rival.settings, frozen.network
    if settings["config"] not in CONFIGS:
        raise UserError(
            f"rival {rival.name}: setting config is {settings['config']!r}; there are {', '.join(CONFIGS)}."
        )
    if not 1 <= settings["reduction"] <= frozen.width:
        raise UserError(f"rival {rival.name}: setting reduction is {settings['reduction']}; give 1 to {frozen.width}.")
    adapters = library_of(rival, "adapters")
    interfaces = library_of(rival, "adapters.wrappers.interfaces")
    config = getattr(adapters, CONFIGS[settings["config"]])(
        reduction_factor=settings["reduction"], leave_out=list(range(leave_out)), init_weights="mam_adapter"
    )
    # Llama and its like name their parts as Qwen2 does; the library looks for each and refuses what has others.
    known = interfaces.get_adapter_interface
    interface, kind = known(network.config.model_type) or known("qwen2"), type(network).__name__
    if interface.layer_ln_1 or interface.layer_ln_2:
        raise UserError(
            f"rival {rival.name}: adapters puts the norms of the last layer into all layers of {kind} "
            "(docs/rivals_libraries.md); this architecture cannot be used."
        )
    try:
        adapters.init(network, interface=interface)
    except ValueError as error:
        raise UserError(f"rival {rival.name}: adapters does not take {kind} ({error})") from error
    base = network.base_model
    with drawn(seed):
        for name in names:
            base.add_adapter(name, config=config)
        if len(names) > 1:
            base.add_adapter_fusion(_fuse(rival, names), "dynamic")
    active = _fuse(rival, names) if len(names) > 1 else names[0]
    with adapters.AdapterSetup(active):  # else the library warns that none is active yet
        base.set_active_adapters(active)
    network.eval()
    network.requires_grad_(False)
    for name, leaf in network.named_parameters():
        leaf.requires_grad_(bool(ADAPTER.search(name)) or FUSION in name)
    _hook(rival, base, frozen.dtype)
    return base


def _hook(rival: Rival, base: Any, dtype: torch.dtype) -> None:
    """What the library leaves open: dtype, device, and layers that run again in a backward pass.

    Its hooks hand the residual on in a context that a forward pass of the whole model opens, in the thread that runs it. A layer
    that is computed again for its gradient finds none, and would silently compute something else. So each layer opens its own.
    """
    context = library_of(rival, "adapters.context").ForwardContext
    bottleneck = library_of(rival, "adapters.methods.bottleneck").BottleneckLayer

    def enter(layer: torch.nn.Module, arguments: Any) -> None:
        context(base).__enter__()

    def leave(layer: torch.nn.Module, arguments: Any, output: Any) -> None:
        context.get_contexts().pop()

    def cast(module: torch.nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(one.float() if isinstance(one, torch.Tensor) else one for one in arguments)

    def back(module: torch.nn.Module, arguments: Any, output: torch.Tensor) -> torch.Tensor:
        return output.to(dtype)

    for _, layer in base.iter_layers():
        layer.register_forward_pre_hook(enter)
        layer.register_forward_hook(leave, always_call=True)
        device = next(layer.parameters()).device
        for module in layer.modules():
            if isinstance(module, bottleneck):
                module.to(device, torch.float32)
                if dtype != torch.float32:
                    module.register_forward_pre_hook(cast)
                    module.register_forward_hook(back)


def _fuse(rival: Rival, names: Sequence[str]) -> Any:
    return library_of(rival, "adapters.composition").Fuse(*names)


def _dropped(frozen: FrozenModel, rival: Rival) -> int:
    """How many of the first layers answer without an adapter."""
    share = rival.settings.get("drop", 0.0)
    if not 0 <= share < 1:
        raise UserError(
            f"rival {rival.name}: setting drop is {share}; give the share of layers without, from 0 to below 1."
        )
    return int(share * frozen.network.config.get_text_config().num_hidden_layers)


def _levels(rival: Rival, train: Sequence[Item], steps: int) -> list[str]:
    """The levels whose adapters are fused: several tasks of one model."""
    levels = sorted({item.level for item in train if item.level is not None})
    if len(levels) < 2 or any(item.level is None for item in train):
        raise UserError(
            f"rival {rival.name}: not applicable to this task: it fuses adapters of several levels, which the training items "
            "do not have."
        )
    if steps < 2:
        raise UserError(
            f"rival {rival.name}: {steps} step is too few for adapters and their fusion; give more epochs or items."
        )
    return levels


def _with_gradient(value: torch.Tensor | None, leaves: Sequence[torch.Tensor]) -> torch.Tensor:
    """``value``, or zero for none, with its gradient computed at once: the adapters that are on change before the backward pass."""
    gradients = torch.autograd.grad(value, leaves) if value is not None else [torch.zeros_like(leaf) for leaf in leaves]
    carried = torch.stack([(leaf * gradient).sum() for leaf, gradient in zip(leaves, gradients, strict=True)]).sum()
    return (carried - carried.detach()) + (0 if value is None else value.detach())
