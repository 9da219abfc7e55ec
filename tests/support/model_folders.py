"""Model folders by their files' names and texts. Nothing of them is ever loaded: they are refused by the names and the bytes."""

import json

SHAPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 400,
}
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = {"model.safetensors.index.json": json.dumps({"weight_map": {"a": FIRST, "b": SECOND, "c": SECOND}})}
WHOLE = {
    "config.json": json.dumps({"model_type": "llama", **SHAPE}),
    "tokenizer_config.json": "{}",
    "tokenizer.json": "{}",
    "model.safetensors": "weights",
}
