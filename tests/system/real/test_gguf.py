"""GGUF files of real models, and their rules of reading text beside the families' own tokenizers."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoTokenizer

from embedgrad_core.files import parse_json, read_jsonl

pytest.importorskip("gguf", reason="the extra gguf is not installed: make gguf")

from gguf_samples import PROBES, vocabulary

from embedgrad_core.from_gguf.convert import convert_gguf
from embedgrad_core.from_gguf.header import Header
from embedgrad_core.from_gguf.tokenizer import check_tokenizer, write_tokenizer

pytestmark = pytest.mark.mirror


def real_texts(mirror: Path) -> list[str]:
    """1,000 texts, 250 of each real data set."""
    data = mirror / "data"
    causal = parse_json((data / "causal_judgment.json").read_text(encoding="utf-8"))["examples"]
    sets = [
        [row["text"] for row in read_jsonl(data / "imdb_subset.jsonl")],
        [row["text"] for row in read_jsonl(data / "medd.jsonl")],
        [row[key] for row in read_jsonl(data / "math500.jsonl") for key in ("problem", "solution")],
        [text for row in causal for text in (row["input"], row.get("comment") or row["input"].upper())],
    ]
    return [text for texts in sets for text in texts[:250]]


@pytest.mark.parametrize(
    ("name", "pre", "architecture"),
    [("qwen2.5", "qwen2", "qwen2"), ("qwen2.5", "qwen2", "llama"), ("llama-3.1", "llama-bpe", "llama")],
)
def test_the_rules_are_those_of_the_families_own_tokenizers(mirror, tmp_path, name, pre, architecture):
    own = AutoTokenizer.from_pretrained(mirror / "tokenizers" / name)
    keys = vocabulary(own.backend_tokenizer, len(own) + 100, pre)
    ids = {f"tokenizer.ggml.{key}_token_id": own.convert_tokens_to_ids(token) for key, token in
           (("eos", own.eos_token), ("bos", own.bos_token)) if token}  # fmt: skip
    header = Header(
        Path(name), {"general.architecture": architecture, f"{architecture}.context_length": 99, **keys, **ids}, {}
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    write_tokenizer(header, check_tokenizer(header), tmp_path)
    made = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*PROBES, *real_texts(mirror)]
    assert made(texts)["input_ids"] == own(texts)["input_ids"]
    assert made.batch_decode(made(texts)["input_ids"]) == own.batch_decode(own(texts)["input_ids"])


def test_real_files_give_the_mirrors_folders(mirror, tmp_path):
    """EMBEDGRAD_GGUF: a folder of files such as NAME.Q4_1.gguf, whose models lie in the mirror as models/NAME."""
    folder = os.environ.get("EMBEDGRAD_GGUF")
    if not folder:
        pytest.skip("EMBEDGRAD_GGUF is not set to a folder with real GGUF files")
    files = sorted(Path(folder).glob("*.gguf"))
    assert files
    texts = [*PROBES, *real_texts(mirror)]
    for path in files:
        theirs, ours = mirror / "models" / path.stem.rpartition(".")[0], tmp_path / path.stem
        convert_gguf(path, ours)
        with safe_open(ours / "model.safetensors", "pt") as a, safe_open(theirs / "model.safetensors", "pt") as b:
            assert set(a.keys()) == set(b.keys())
            assert all(torch.equal(a.get_tensor(name), b.get_tensor(name)) for name in a.keys())  # noqa: SIM118
        tokenizers = [AutoTokenizer.from_pretrained(one) for one in (ours, theirs)]
        texts = [text for text in texts if "tool_call" not in text]  # the mirror's folder does not know it as a token
        assert tokenizers[0](texts)["input_ids"] == tokenizers[1](texts)["input_ids"]
        shutil.rmtree(ours)
