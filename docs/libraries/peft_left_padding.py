"""PEFT's batched ``generate`` with prompt tuning differs from its own single rows as soon as a row is padded (peft 0.21.2).

It puts the virtual tokens before the padding: [virtual, padding, text]. The padding is masked, but position ids are dropped
("Position ids are not supported"), so that the text stands further from the virtual tokens by the padding's length than alone.
With the padding before the virtual tokens and positions counted over what is not masked, batch and single rows agree.

    pip install peft==0.21.2 transformers torch
    python peft_left_padding.py
"""

import warnings

import peft
import torch
import transformers
from peft import PromptTuningConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

VIRTUAL, NEW = 8, 16
ROWS = [list(range(3 + 5 * n, 3 + 5 * n + 2 + n)) for n in range(12)]


def llama():
    """A random one: weights wide enough that its answers differ."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=256, **shape, eos_token_id=None, pad_token_id=0)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


def padded(rows, width):
    """Padding on the left: ids and mask."""
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows])
    return ids, torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])


def new_tokens(model, **inputs):
    """The last tokens of ``generate``, greedy."""
    return model.generate(**inputs, max_new_tokens=NEW, do_sample=False)[:, -NEW:].tolist()


def answers(model, rows):
    """One batch, padded on the left to its longest row."""
    ids, mask = padded(rows, max(map(len, rows)))
    return new_tokens(model, input_ids=ids, attention_mask=mask)


def padding_first(model, virtual):
    """The same virtual tokens behind the padding, through transformers alone."""
    ids, mask = padded(ROWS, max(map(len, ROWS)))
    embeds = model.get_input_embeddings()(ids)
    rows = []
    for row, own, seen in zip(ROWS, embeds, mask, strict=True):
        blank = len(seen) - len(row)
        rows.append(torch.cat([own[:blank], virtual, own[blank:]]))
    mask = torch.cat([mask, torch.ones(len(ROWS), VIRTUAL, dtype=mask.dtype)], dim=1).sort(dim=1, stable=True).values
    return new_tokens(model, inputs_embeds=torch.stack(rows), attention_mask=mask)


def same(ones, others):
    """How many rows are alike."""
    return f"{sum(one == other for one, other in zip(ones, others, strict=True))} of {len(ROWS)}"


warnings.filterwarnings("ignore")
print(f"peft {peft.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
base = llama()
alone = [answers(base, [row])[0] for row in ROWS]
print("base model, batch beside single rows:", same(answers(base, ROWS), alone))
model = get_peft_model(base, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL)).eval()
vectors = model.prompt_encoder["default"].embedding.weight.detach()
alone = [answers(model, [row])[0] for row in ROWS]
equal = [row[:2] for row in ROWS]
print(
    "prompt tuning, rows of one length, batch beside single rows:",
    same(answers(model, equal), [answers(model, [row])[0] for row in equal]),
)
print("prompt tuning, padded, batch beside single rows:", same(answers(model, ROWS), alone))
print("the same vectors, padding before them, beside PEFT's single rows:", same(padding_first(llama(), vectors), alone))
