"""LoRA, DoRA, AdaLoRA, IA3 and full fine-tuning: weights inside the network change, the prompt stays as text.

PEFT puts its modules into the network in place; loss and decoder are the core's own. QLoRA is LoRA on a network that was loaded
in 4 bits (:func:`embedgrad_core.load_model` with ``quantisation``). Answers come from the unmerged modules: merging rounds in
bfloat16 (https://github.com/huggingface/peft/issues/2321) and destroys a 4-bit result.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from embedgrad.rivals.environment import check_library
from embedgrad.rivals.families.method import Begun, Served, drawn, relative_drift, serve_from_network
from embedgrad.rivals.rival import Rival
from embedgrad_core import FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.model.costs import tuning_bytes
from embedgrad_core.model.kernels import FrozenLinear
from embedgrad_core.model.memory import free_memory
from embedgrad_core.objective import Example, target_hidden, target_loss
from embedgrad_core.training.trainable import Trainable


def begin(frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int, steps: int) -> Begun:
    """See :class:`~embedgrad.rivals.families.method.Family`."""
    full = rival.settings["method"] == "full"
    if full:
        _check_memory(frozen, rival)
    tuner = _inject(frozen, rival, seed, steps)
    leaves = {name: leaf for name, leaf in frozen.network.named_parameters() if leaf.requires_grad}
    vectors = PromptEmbedding.from_text(frozen, slot).initial.to(frozen.device)
    hooks: dict[str, Any] = _adalora(tuner, leaves) if rival.settings["method"] == "adalora" else {}
    penalty: Callable[[], torch.Tensor] | None = hooks.pop("penalty", None)

    def loss(examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
        if full:
            return _whole_loss(frozen, slot, examples)
        value, count = target_loss(frozen, slot, vectors, examples)
        if penalty and torch.is_grad_enabled():  # a share of it with each item, so that micro-batches add up to one
            value = value + len(examples) * penalty()
        return value, count

    identity = (rival.name, dict(rival.settings), seed, steps, slot.header(), slot.prompt_ids)
    trainable = Trainable(frozen, leaves, len(slot.head_ids) + slot.k, loss, relative_drift(leaves), identity, **hooks)
    return Begun(trainable, slot, lambda best: {name: leaf.cpu() for name, leaf in best.items()}, identity=True)


def serve(frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
    """The modules in the network, with the stored tensors in them, behind the text prompt."""
    _inject(frozen, rival, 0, 100)
    return serve_from_network(frozen, slot, rival, tensors)


def _check_memory(frozen: FrozenModel, rival: Rival) -> None:
    """Refuse to train all weights where memory would run out after hours, by the sum that plans a job's memory."""
    sizes = [leaf.numel() for leaf in frozen.network.parameters()]
    needs, room = tuning_bytes(sum(sizes), max(sizes)), free_memory(frozen.device)
    if needs > room:
        raise UserError(
            f"rival {rival.name}: training all {sum(sizes) / 1e6:.0f} million weights of {frozen.name} takes {needs / 1e9:.1f} GB "
            f"beside them, and {room / 1e9:.1f} GB are free; take a smaller model or more memory, or leave the rival out."
        )


def _inject(frozen: FrozenModel, rival: Rival, seed: int, steps: int) -> Any:
    """Put PEFT's modules into the network, or make all of it trainable; returns PEFT's tuner, which knows its modules."""
    settings = rival.settings
    method, rank = settings["method"], settings.get("rank", 0)
    if method == "full":
        _thaw(frozen, None)
        frozen.network.requires_grad_(True)
        if frozen.dtype != torch.float32:
            raise UserError(
                f"rival {rival.name}: trains the model's own weights, which must be float32; give --dtype float32."
            )
        return None
    check_library(rival)
    from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftConfig
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import PeftType

    config: PeftConfig
    if method == "ia3":
        config = IA3Config(task_type="CAUSAL_LM")
    else:
        lora: dict[str, Any] = {"task_type": "CAUSAL_LM", "lora_alpha": settings["alpha"]}
        lora["target_modules"] = list(settings["targets"])
        if method == "adalora":
            # Twice the rank at first, pruned to it over the middle of the run; the last third trains at the final rank.
            tinit, tfinal = max(1, steps // 10), max(1, steps // 3)
            if steps < 4:
                raise UserError(
                    f"rival {rival.name}: {steps} steps are too few to prune ranks in; give more epochs or items."
                )
            own = {
                "init_r": 2 * rank,
                "target_r": rank,
                "tinit": tinit,
                "tfinal": tfinal,
                "total_step": steps,
                "deltaT": 1,
            }
            config = AdaLoraConfig(**lora, **own)
        else:
            config = LoraConfig(**lora, r=rank, use_dora=method == "dora")
    if method == "adalora":
        _thaw(frozen, settings["targets"])
    try:
        with drawn(seed):
            tuner = PEFT_TYPE_TO_TUNER_MAPPING[PeftType(config.peft_type)](
                frozen.network, config, adapter_name="default"
            )
    except ValueError as error:
        raise UserError(f"rival {rival.name}: PEFT does not take {type(frozen.network).__name__} ({error}).") from error
    frozen.network.eval()
    for leaf in frozen.network.parameters():
        if leaf.requires_grad:
            leaf.data = leaf.data.float()
    return tuner


def _whole_loss(frozen: FrozenModel, slot: Slot, examples: Sequence[Example]) -> tuple[torch.Tensor, int]:
    """Eq. 6 with a gradient to every weight: the prompt's embeddings and the output layer are trained too."""
    vectors = frozen.embed(torch.tensor(slot.prompt_ids))
    hidden = target_hidden(frozen, slot, vectors, examples)
    targets = torch.tensor([token for example in examples for token in example.target], device=hidden.device)
    logits = frozen.network.get_output_embeddings()(hidden).float()
    return torch.nn.functional.cross_entropy(logits, targets, reduction="sum"), len(targets)


def _thaw(frozen: FrozenModel, targets: Sequence[str] | None) -> None:
    """Plain ``Linear`` again: for AdaLoRA, which adds in place to what its layer gives, and for weights that are to be trained.

    ``targets`` are the modules' own names; None means all.
    """
    for name, module in frozen.network.named_modules():
        if isinstance(module, FrozenLinear) and (targets is None or name.rsplit(".", 1)[-1] in targets):
            module.__class__ = torch.nn.Linear


def _adalora(tuner: Any, leaves: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What AdaLoRA does around a step: PEFT adds the orthogonality term only in its own wrapper, and allocates ranks when asked."""
    config, allocator = tuner.peft_config["default"], tuner.rankallocator
    final = config.total_step - config.tfinal
    named = dict(tuner.model.named_parameters())
    scored = [name for name in named if "lora_" in name]

    def clear() -> None:
        for counted in (allocator.exp_avg_ipt, allocator.exp_avg_unc, allocator.ipt):
            counted.update({name: torch.zeros_like(named[name]) for name in scored})

    def buffers() -> dict[str, torch.Tensor]:
        if not allocator.ipt:  # forgotten when the ranks became final
            clear()
        sums = {"ipt": allocator.exp_avg_ipt, "unc": allocator.exp_avg_unc}
        return {f"{kind} {name}": values[name] for kind, values in sums.items() for name in scored}

    def on_restore() -> None:
        """The ranks of a run whose ranks are final: what was pruned is exactly zero between two steps."""
        values = {name: leaf for name, leaf in named.items() if "lora_E" in name}
        if any(bool((leaf == 0).any()) for leaf in values.values()):
            config.rank_pattern = {name: (leaf != 0).view(-1).tolist() for name, leaf in values.items()}

    def penalty() -> torch.Tensor:
        """‖P P^T − I‖ of each A and B, as PEFT's own wrapper adds it (AdaLoRA, Eq. 4)."""
        terms = []
        for name, leaf in leaves.items():
            if "lora_A" in name or "lora_B" in name:
                product = leaf @ leaf.T if "lora_A" in name else leaf.T @ leaf
                terms.append(torch.linalg.matrix_norm(product - torch.eye(len(product), device=product.device)))
        return config.orth_reg_weight * torch.stack(terms).mean()

    clear()
    return {
        "penalty": penalty,
        "buffers": buffers,
        "on_restore": on_restore,
        "after_step": tuner.update_and_allocate,
        "may_win": lambda steps: steps >= final,
    }
