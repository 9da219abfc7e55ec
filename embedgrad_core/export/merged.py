"""An ordinary checkpoint whose embedding table carries the prompt's vectors under added tokens ``<|eg_0|>`` … ``<|eg_k-1|>``.

Any engine can serve it from plain text: the prompt is the string of those tokens. They must never be *written*: the output
layer gets for each of them the mean of all its other rows, so that their logit is the mean logit, which is never the largest; and
``generation_config.json`` names them in ``suppress_tokens`` for whoever samples. Where input and output embeddings are one
matrix, they are parted for this.
"""

from pathlib import Path

import torch
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from embedgrad_core.export.card import snippet
from embedgrad_core.export.folder import PROBES, around_input, separator_text
from embedgrad_core.files import UserError
from embedgrad_core.layout import Slot
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding


@torch.no_grad()
def export_merged(frozen: FrozenModel, prompt: PromptEmbedding, folder: Path, name: str) -> str:
    """Write model, tokenizer and ``prompt.txt`` (the text of the added tokens).

    The weights are read again from where ``frozen`` came from; ``frozen`` itself is not changed.

    Returns:
        Python lines that answer one input from plain text.

    Raises:
        UserError: an architecture that scales its embeddings unevenly; a tokenizer that does not
            read the new text as head, new tokens and body.
    """
    where = {} if Path(frozen.name).is_dir() else {"revision": frozen.revision}
    names = [f"<|eg_{place}|>" for place in range(prompt.slot.k)]
    text = "".join(names)
    wrong = ""
    # A tokenizer that writes a space as a piece of its own puts one in front of what follows an added token: there the last
    # token has to swallow the separator's space.
    for swallows in (False, True):
        tokenizer = AutoTokenizer.from_pretrained(frozen.name, trust_remote_code=False, **where)
        if taken := set(names) & set(tokenizer.get_vocab()):
            raise UserError(f"merged: the vocabulary already holds {min(taken)}; this is an exported model itself.")
        added = [AddedToken(name, normalized=False, rstrip=swallows and name == names[-1]) for name in names]
        tokenizer.add_tokens(added, special_tokens=True)
        ids = tokenizer.convert_tokens_to_ids(names)
        slot = Slot.place(tokenizer, prompt.slot.layout, text)
        wrong = _misread(prompt.slot, slot, ids)
        if not wrong:
            break
    else:
        raise UserError(
            f"merged: after an added token this tokenizer reads {wrong} differently than after the prompt's words, so "
            "plain text would not give the same answers; export --to vllm, or --to peft (bare layout)."
        )
    network = AutoModelForCausalLM.from_pretrained(
        frozen.name, dtype=frozen.dtype, use_safetensors=True, trust_remote_code=False, **where
    )
    _write_rows(network, tokenizer, ids, prompt.vectors)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "prompt.txt").write_text(text, encoding="utf-8")
    before, tail = around_input(slot)
    values = {"prompt": text, "before": before.partition(text)[0], "separator": separator_text(slot), "tail": tail}
    return snippet("merged", frozen, name, special=slot.layout.kind == "bare", **values)


def _misread(old: Slot, new: Slot, ids: list[int]) -> str:
    """The first probe that is not read as the head, the new tokens and the body that the prompt was trained with, or nothing."""
    if new.head_ids != old.head_ids or list(new.prompt_ids) != ids:
        return "the prompt"
    wanted = [[*old.head_ids, *ids, *old.body_ids(probe)] for probe in PROBES]
    return next((repr(p) for p, want in zip(PROBES, wanted, strict=True) if new.text_path_ids(p) != want), "")


def _write_rows(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: list[int], vectors: torch.Tensor
) -> None:
    table = network.get_input_embeddings()
    scale = _scale(table)
    vocabulary = max(table.num_embeddings, len(tokenizer))
    head = network.get_output_embeddings()
    old = head.weight.detach().clone()
    others = [row for row in range(len(old)) if row not in set(ids)]
    if vocabulary > table.num_embeddings:
        network.resize_token_embeddings(vocabulary, mean_resizing=False)
        table, head = network.get_input_embeddings(), network.get_output_embeddings()
    if head.weight.data_ptr() == table.weight.data_ptr():
        head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=False)
        network.config.tie_word_embeddings = False
        network.config.get_text_config().tie_word_embeddings = False
    table.weight[ids] = (vectors.double() / scale).to(table.weight.dtype)
    head.weight[ids] = old[others].double().mean(dim=0).to(head.weight.dtype)
    if head.bias is not None:
        head.bias[ids] = head.bias[others].double().mean().to(head.bias.dtype)
    network.generation_config.suppress_tokens = sorted({*(network.generation_config.suppress_tokens or []), *ids})


def _scale(table: torch.nn.Module) -> float:
    """By how much the embedding module multiplies its rows (Gemma's √d)."""
    ids = torch.arange(min(16, table.num_embeddings))
    fed, rows = table(ids).double(), table.weight[ids].double()
    scale = float((fed * rows).sum() / (rows * rows).sum().clamp_min(1e-30))
    if not torch.allclose(fed, scale * rows, rtol=1e-2, atol=1e-6):
        raise UserError(
            "merged: this architecture does more to its embeddings than scale them; export --to vllm or peft."
        )
    return scale
