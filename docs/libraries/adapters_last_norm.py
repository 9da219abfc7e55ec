"""``adapters.init`` gives every layer of Gemma 2 the norms of the last one (adapters 1.3.0).

``init_bottleneck`` makes ``lambda: multigetattr(layer, …)`` in a loop over the layers: when that is called, ``layer`` is the last.
``functools.partial(multigetattr, layer, …)`` would keep each its own.

    pip install adapters==1.3.0 torch
    python adapters_last_norm.py
"""

import adapters
import transformers
from transformers import Gemma2Config, Gemma2ForCausalLM

shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
model = Gemma2ForCausalLM(Gemma2Config(vocab_size=64, num_hidden_layers=3, **shape))
adapters.init(model)
print(f"adapters {adapters.__version__}, transformers {transformers.__version__}")
layers = model.model.layers
for place, layer in enumerate(layers):
    (hook,) = layer.mlp.down_proj._forward_hooks.values()
    norm = hook.args[1]()  # what the hook asks for the norm behind the MLP
    (found,) = (other for other in range(3) if layers[other].post_feedforward_layernorm is norm)
    print(f"layer {place} computes with the norm of layer {found}")
