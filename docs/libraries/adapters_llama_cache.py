"""After ``adapters.init`` alone, without any adapter, a Llama generates wrongly with a cache (adapters 1.3.0, transformers 4.57).

Its own Llama classes take ``past_key_value``, transformers 4.57 passes ``past_key_values``: the attention never sees the cache, so
that each new token attends to itself alone. Without a word. The plugin interface, which leaves the classes alone, is right.

    pip install adapters==1.3.0 torch
    python adapters_llama_cache.py
"""

import inspect

import adapters
import torch
import transformers
from adapters.models.llama.modeling_llama import LlamaAttentionWithAdapters
from transformers import LlamaConfig, LlamaForCausalLM

PLUGIN = adapters.AdapterModelInterface(
    adapter_methods=["bottleneck"],
    model_embeddings="embed_tokens",
    model_layers="layers",
    layer_self_attn="self_attn",
    layer_cross_attn=None,
    attn_k_proj="k_proj",
    attn_q_proj="q_proj",
    attn_v_proj="v_proj",
    attn_o_proj="o_proj",
    layer_intermediate_proj="mlp.up_proj",
    layer_output_proj="mlp.down_proj",
)
PROMPTS = [list(range(3 + 7 * n, 3 + 8 * n + 5)) for n in range(8)]
NEW = 16


def llama():
    """A random one: weights wide enough that its answers differ."""
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=256, **shape, eos_token_id=None, pad_token_id=0)).eval()
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return model


@torch.no_grad()
def full_forwards(model, ids):
    """Greedy, each token by a forward pass over everything before it."""
    for _ in range(NEW):
        ids = [*ids, int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())]
    return ids


def generated(model, ids, use_cache):
    """Greedy, by the library's ``generate``."""
    ids = torch.tensor([ids])
    mask = torch.ones_like(ids)
    return model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, use_cache=use_cache)[
        0
    ].tolist()


print(f"adapters {adapters.__version__}, transformers {transformers.__version__}, torch {torch.__version__}")
takes = [name for name in inspect.signature(LlamaAttentionWithAdapters.forward).parameters if "past" in name]
print("the attention of adapters takes", *takes)
right = [full_forwards(llama(), ids) for ids in PROMPTS]
for name, interface, use_cache in [
    ("transformers alone, cache", "none", True),
    ("adapters.init(model), no cache", None, False),
    ("adapters.init(model), cache", None, True),
    ("adapters.init(model, interface=...), cache", PLUGIN, True),
]:
    model = llama()
    if interface != "none":
        adapters.init(model, interface=interface)
    same = sum(generated(model, ids, use_cache) == wanted for ids, wanted in zip(PROMPTS, right, strict=True))
    print(f"{name}: {same} of {len(PROMPTS)} answers equal full forward passes")
