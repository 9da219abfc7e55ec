"""Prompt Tuning (Lester et al. 2021) by four initialisations, and P-Tuning (Liu et al. 2021): vectors in the prompt's place.

All have as many vectors as the human prompt has tokens, in the very place of it, so that nothing but where they start and how they
are parametrised differs from EmbedGrad. ``text`` starts as the prompt's own embeddings: it *is* EmbedGrad, and stands here as the
null control that must come out equal.
"""

from collections.abc import Mapping, Sequence

import torch

from embedgrad.rivals.families.method import Begun, Served, drawn, relative_drift
from embedgrad.rivals.rival import Rival
from embedgrad_core import FrozenModel, PromptEmbedding, Slot
from embedgrad_core.files import Item, UserError
from embedgrad_core.objective import target_loss
from embedgrad_core.training.trainable import Trainable, prompt_vectors


def begin(frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int, steps: int) -> Begun:
    """See :class:`~embedgrad.rivals.families.method.Family`. P-Tuning trains an encoder and stores the vectors that it gives."""
    if "encoder" in rival.settings:
        return _p_tuning(frozen, slot, rival, seed)
    start = _start(frozen, slot, rival, train, seed)
    vectors = start.to(frozen.device, copy=True).requires_grad_()
    trainable = prompt_vectors(frozen, slot, vectors, start)
    return Begun(trainable, slot, lambda best: {"vectors": best["vectors"].cpu()}, rival.settings["start"] == "text")


def serve(frozen: FrozenModel, slot: Slot, rival: Rival, tensors: Mapping[str, torch.Tensor]) -> Served:
    """The stored vectors in the prompt's place."""
    return Served(slot, tensors["vectors"])


def _start(frozen: FrozenModel, slot: Slot, rival: Rival, train: Sequence[Item], seed: int) -> torch.Tensor:
    """(k, d) float32, on the CPU."""
    k, how = slot.k, rival.settings["start"]
    if how == "text":
        return PromptEmbedding.from_text(frozen, slot).initial
    generator = torch.Generator().manual_seed(seed)
    if how == "random":  # uniform in ±0.5, as the authors' configurations have it
        return torch.rand(k, frozen.width, generator=generator) - 0.5
    # Rows of the table that the tokenizer can write; padded rows of a checkpoint were never trained.
    written = len(frozen.tokenizer)
    ids = _label_ids(frozen, train, k) if how == "labels" else torch.randint(written, (k,), generator=generator)
    with torch.no_grad():
        return frozen.embed(ids).float().cpu().clone()


def _label_ids(frozen: FrozenModel, train: Sequence[Item], k: int) -> torch.Tensor:
    """The tokens of the class labels one after the other, from the first again until there are k."""
    labels = sorted({item.answer for item in train})
    if len(labels) > k:
        raise UserError(
            f"prompt tuning from class labels: the training items have {len(labels)} different answers and the prompt {k} "
            "tokens; the method is for classification."
        )
    ids = [token for label in labels for token in frozen.tokenizer(" " + label, add_special_tokens=False)["input_ids"]]
    return torch.tensor((ids * k)[:k])


def _p_tuning(frozen: FrozenModel, slot: Slot, rival: Rival, seed: int) -> Begun:
    from peft import PromptEncoderConfig
    from peft.tuners.p_tuning import PromptEncoder

    settings = rival.settings
    config = PromptEncoderConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=slot.k,
        token_dim=frozen.width,
        num_transformer_submodules=1,
        encoder_reparameterization_type=settings["encoder"],
        encoder_hidden_size=settings["hidden"] or frozen.width,
    )
    with drawn(seed):
        encoder: torch.nn.Module = PromptEncoder(config).to(frozen.device)  # type: ignore[no-untyped-call]
    places = torch.arange(slot.k, device=frozen.device)
    leaves = dict(encoder.named_parameters())

    def store(best: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            return {"vectors": torch.func.functional_call(encoder, dict(best), (places[None],))[0].float().cpu()}

    trainable = Trainable(
        frozen,
        leaves,
        len(slot.head_ids) + slot.k,
        lambda examples: target_loss(frozen, slot, encoder(places[None])[0], examples),
        relative_drift(leaves),
        (rival.name, settings["encoder"], settings["hidden"], seed, slot.header(), slot.prompt_ids),
    )
    return Begun(trainable, slot, store, identity=False)
