"""GGUF files as model folders: the same weights, the same ids, and one error for whatever is not known."""

import json
import struct
import sys

import numpy as np
import pytest
import torch
from commands import refused
from safetensors import safe_open
from tiny import TEXTS, tiny_model
from transformers import Qwen2Tokenizer

from embedgrad_core import load_model
from embedgrad_core.files import folder_fingerprint, folder_hashes, read_json, write_json

gguf = pytest.importorskip("gguf", reason="the extra gguf is not installed: make gguf")

from gguf_samples import PROBES, gguf_name, problem, rounded, write_gguf  # noqa: E402

from embedgrad_core.from_gguf.convert import convert_gguf, quantisation_name  # noqa: E402
from embedgrad_core.from_gguf.header import read_header  # noqa: E402
from embedgrad_core.from_gguf.note import dequantised_from  # noqa: E402
from embedgrad_core.from_gguf.tied import INPUT, OUTPUT, noise_ratio  # noqa: E402

SIZES = {"intermediate_size": 64}


@pytest.fixture(scope="session")
def qwen_tokenizer(tokenizer):
    """A tokenizer of Qwen's own class."""
    found = Qwen2Tokenizer(pad_token="<|endoftext|>", eos_token="<|im_end|>").train_new_from_iterator(
        TEXTS, 300, show_progress=False
    )
    found.chat_template = tokenizer.chat_template
    return found


@pytest.fixture(scope="session")
def families(tokenizer, qwen_tokenizer):
    """A tiny model and the name of its tokenizer's rule, by architecture."""
    return {
        "llama": (tiny_model(tokenizer, "llama", **SIZES), "smollm"),
        "qwen2": (tiny_model(qwen_tokenizer, "qwen2", **SIZES), "qwen2"),
    }


@pytest.fixture
def file(families, tmp_path):
    """Write the file of an architecture."""

    def write(family="llama", **how):
        frozen, pre = families[family]
        return write_gguf(tmp_path / "model.gguf", frozen.network, frozen.tokenizer, **{"pre": pre, **how})

    return write


def load(folder):
    return load_model(str(folder), device="cpu", dtype="float32", log=lambda _: None)


def logits(network):
    with torch.no_grad():
        return network(torch.arange(3, 200)[None] % 200).logits


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q4_0", "Q4_1"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_the_folder_is_the_dequantised_model(families, file, tmp_path, family, kind):
    frozen, _ = families[family]
    done = convert_gguf(file(family, kind=kind), tmp_path / "out")
    assert done["tied"] is frozen.network.config.tie_word_embeddings
    converted = load(tmp_path / "out")
    wanted = {name: rounded(weight, kind).float() for name, weight in frozen.network.state_dict().items()}
    found = converted.network.state_dict()
    assert set(found) == set(wanted)
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())
    direct = type(frozen.network)(frozen.network.config)
    direct.load_state_dict(wanted)
    assert torch.equal(logits(direct.eval()), logits(converted.network))
    assert not torch.equal(logits(frozen.network), logits(converted.network)) or kind == "F32"
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as weights:
        assert {weights.get_tensor(name).dtype for name in weights.keys()} == {torch.float16}  # noqa: SIM118


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_ids_template_and_end_tokens_are_the_files(families, file, tmp_path, family):
    frozen, _ = families[family]
    convert_gguf(file(family, keys={"tokenizer.ggml.eot_token_id": 1}), tmp_path / "out")
    converted = load(tmp_path / "out")
    for text in PROBES:
        assert converted.tokenizer(text)["input_ids"] == frozen.tokenizer(text)["input_ids"], text
        assert converted.tokenizer.decode(converted.tokenizer(text)["input_ids"]) == frozen.tokenizer.decode(
            frozen.tokenizer(text)["input_ids"]
        )
    assert len(converted.tokenizer) == len(frozen.tokenizer)  # the padding's made-up names are no tokens
    turn = [{"role": "user", "content": "hi"}]
    rendered = [one.tokenizer.apply_chat_template(turn, tokenize=False) for one in (converted, frozen)]
    assert rendered[0] == rendered[1]
    assert converted.stop_ids("checkpoint") == tuple(sorted({1, frozen.tokenizer.eos_token_id}))


def test_the_header_is_what_ggufs_own_reader_reads(file):
    path = file(keys={"x.list": [1, -2, 3], "x.floats": [0.5, 1.5], "x.flag": True, "x.words": ["ä", ""]})
    found, reader = read_header(path), gguf.GGUFReader(path)
    theirs = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert found.metadata == theirs
    assert {name: (tensor.kind, tensor.start, tensor.size) for name, tensor in found.tensors.items()} == {
        tensor.name: (tensor.tensor_type.name, tensor.data_offset, tensor.n_bytes) for tensor in reader.tensors
    }


def test_a_matrix_written_twice_is_one_again(families, file, tmp_path):
    frozen, _ = families["qwen2"]
    table = frozen.network.get_input_embeddings().weight.float().numpy()
    done = convert_gguf(file("qwen2", kinds={INPUT: "Q4_0", OUTPUT: "Q8_0"}, tensors={OUTPUT: table}), tmp_path / "out")
    assert done["tied"]
    network = load(tmp_path / "out").network
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    assert torch.equal(network.lm_head.weight, rounded(torch.from_numpy(table), "Q8_0").float())


@pytest.mark.parametrize(("one", "other"), [("Q4_0", "Q4_0"), ("Q8_0", "Q8_0"), ("F16", "F16"), ("Q4_0", "Q8_0")])
def test_matrices_that_differ_by_more_than_rounding_stay_two(families, file, tmp_path, one, other):
    frozen, _ = families["qwen2"]
    table = frozen.network.get_input_embeddings().weight.float().numpy()
    moved = table + 0.1 * np.random.default_rng(0).normal(size=table.shape).astype(np.float32) * table.std() * (
        4 if "Q4_0" in (one, other) else 1
    )
    done = convert_gguf(file("qwen2", kinds={INPUT: one, OUTPUT: other}, tensors={OUTPUT: moved}), tmp_path / "out")
    assert not done["tied"]
    network = load(tmp_path / "out").network
    assert torch.equal(network.lm_head.weight, rounded(torch.from_numpy(moved), other).float())
    assert torch.equal(network.get_input_embeddings().weight, rounded(torch.from_numpy(table), one).float())


@pytest.mark.parametrize("kind", ["BF16", "F16", "Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1"])
def test_the_noise_of_rounding_is_as_expected_and_unrelated_matrices_are_far(families, file, kind):
    frozen, _ = families["qwen2"]
    table = frozen.network.get_input_embeddings().weight.float().numpy()
    same = noise_ratio(read_header(file("qwen2", kinds={INPUT: kind, OUTPUT: "F32"}, tensors={OUTPUT: table})))
    apart = noise_ratio(read_header(file("qwen2", kinds={INPUT: kind, OUTPUT: "F32"}, tensors={OUTPUT: table[::-1]})))
    assert 0.5 < same < 1.5
    assert apart > 10


def test_llama_3s_stretched_positions_are_found_again(tokenizer, tmp_path):
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    frozen = tiny_model(tokenizer, "llama", rope_parameters=rope, **SIZES)
    plain = 500000.0 ** -(np.arange(0, 8, 2) / 8)
    factors = (plain / frozen.network.model.rotary_emb.inv_freq.double().numpy()).astype(np.float32)
    assert factors.max() == pytest.approx(32)
    how = {"kind": "F16", "tensors": {"rope_freqs.weight": factors}}
    convert_gguf(write_gguf(tmp_path / "a.gguf", frozen.network, tokenizer, **how), tmp_path / "out")
    network = load(tmp_path / "out").network
    assert network.config.rope_parameters == rope
    assert torch.allclose(logits(network), logits(frozen.network), atol=2e-2)
    how["tensors"]["rope_freqs.weight"] = factors * np.array([1, 2, 1, 1], np.float32)
    other = write_gguf(tmp_path / "b.gguf", frozen.network, tokenizer, **how)
    assert "not Llama 3's" in problem(convert_gguf, other, tmp_path / "two")


REFUSED = {
    "architecture": ({"general.architecture": "gemma3"}, {}, "architecture 'gemma3'"),
    "split": ({"split.count": 3}, {}, "llama-gguf-split --merge"),
    "adapter": ({"general.type": "adapter"}, {}, "'adapter', not a model"),
    "sentencepiece": ({"tokenizer.ggml.model": "llama"}, {}, "tokenizer 'llama'"),
    "rule": ({"tokenizer.ggml.pre": "tekken"}, {}, "'tekken'"),
    "no rule": ({"tokenizer.ggml.pre": None}, {}, "rule None"),
    "prefix": ({"tokenizer.ggml.add_space_prefix": True}, {}, "add_space_prefix"),
    "no vocabulary": ({"tokenizer.ggml.tokens": None}, {}, "no vocabulary"),
    "no end": ({"tokenizer.ggml.eos_token_id": None}, {}, "no end token"),
    "end outside": ({"tokenizer.ggml.eos_token_id": 4000}, {}, "eos_token_id is 4000"),
    "merges": ({"tokenizer.ggml.merges": ["abc"]}, {}, "do not fit"),
    "unknown merges": ({"tokenizer.ggml.merges": ["qqq zzz"]}, {}, "damaged vocabulary"),
    "template": ({"tokenizer.chat_template": 7}, {}, "not text"),
    "scaled": ({"llama.rope.scaling.type": "yarn"}, {}, "llama.rope.scaling.type = 'yarn'"),
    "window": ({"llama.attention.sliding_window": 128}, {}, "sliding_window"),
    "experts": ({"llama.expert_count": 8}, {}, "expert_count"),
    "no heads": ({"llama.attention.head_count_kv": None}, {}, "head_count_kv is None"),
    "no epsilon": ({"llama.attention.layer_norm_rms_epsilon": None}, {}, "rms_epsilon is None"),
    "partly rotated": ({"llama.rope.dimension_count": 4}, {}, "4 rotated"),
    "forged layers": ({"llama.block_count": 10**9}, {}, "1000000000 layers"),
    "fewer tokens": ({"llama.vocab_size": 9}, {}, "9 tokens"),
    "missing": ({}, {"blk.1.ffn_up.weight": None}, "blk.1.ffn_up.weight is missing"),
    "bias": ({}, {"blk.0.attn_q.bias": np.zeros(32, np.float32)}, "blk.0.attn_q.bias is not part"),
    "shape": ({}, {"output_norm.weight": np.zeros(64, np.float32)}, "output_norm.weight is [64]"),
    "not finite": ({}, {"output_norm.weight": np.full(32, 1e6, np.float32)}, "float16 does not"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused(capsys, file, tmp_path, case):
    keys, tensors, told = REFUSED[case]
    path = file(keys=keys, tensors=tensors)
    refused(capsys, ["from-gguf", path, "--out", tmp_path / "out"], path, told)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model.gguf"]


def test_a_file_that_is_cut_forged_or_something_else_is_refused(file, tmp_path):
    whole = file().read_bytes()
    path, out = tmp_path / "other.gguf", tmp_path / "out"
    for size in (0, 3, 4, 10, 23, 24, 100, len(whole) // 3, len(whole) // 2, len(whole) - 64):
        path.write_bytes(whole[:size])
        said = problem(convert_gguf, path, out)
        assert str(path) in said
        assert ("cut short" if size >= 4 else "not a GGUF file") in said
    forged = {
        "not a GGUF file": b"GGML" + whole[4:],
        "version 1": whole[:4] + struct.pack("<I", 1) + whole[8:],
        "version 50331648": whole[:4] + struct.pack(">I", 3) + whole[8:],
        "cut short": whole[:8] + struct.pack("<Q", 2**62) + whole[16:],
    }
    # A length of 2^60 numbers in an array, over which gguf's own reader would walk until memory runs out.
    place = whole.index(b"tokenizer.ggml.token_type") + len("tokenizer.ggml.token_type") + 8
    forged[" or its lengths are wrong"] = whole[:place] + struct.pack("<Q", 2**60) + whole[place + 8 :]
    name = b"blk.0.ffn_up.weight"
    place = whole.index(name) + len(name) + 4
    forged["damaged GGUF file (tensor"] = whole[:place] + struct.pack("<Q", 33) + whole[place + 8 :]
    forged["is not a valid GGMLQuantizationType"] = whole[: place + 16] + struct.pack("<I", 999) + whole[place + 20 :]
    forged["twice"] = whole.replace(b"blk.1.ffn_up.weight", name)
    forged["damaged GGUF file ('utf-8'"] = whole.replace(b"general.name", b"general.\xff\xffme")
    for told, content in forged.items():
        path.write_bytes(content)
        assert told in problem(convert_gguf, path, out), told
    assert "no such file" in problem(convert_gguf, tmp_path / "none.gguf", out)
    assert "cannot be read" in problem(convert_gguf, tmp_path, out)
    assert not out.exists()


def test_a_folder_that_holds_something_and_a_missing_extra_are_refused(capsys, monkeypatch, file, tmp_path):
    path = file()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    refused(capsys, ["from-gguf", path, "--out", tmp_path / "out"], "exists already")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["mine.txt"]
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(capsys, ["from-gguf", path, "--out", tmp_path / "new"], "make gguf", "pip install -e '.[gguf]'")
    assert not (tmp_path / "new").exists()


def test_the_command_says_what_it_made_and_results_say_where_it_came_from(capsys, file, tmp_path):
    from embedgrad.cli import main

    path = file().rename(tmp_path / "sha256-of-ollama")  # a name without the ending
    out = tmp_path / "out"
    assert main(["from-gguf", str(path), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["quantisation"], said["tied"], said["architecture"]) == ("Q8_0", False, "LlamaForCausalLM")
    line = f"Q8_0 (sha256-of-ollama, sha256 {said['sha256']})"
    assert dequantised_from(out) == load(out).identity()["dequantised_from"] == line
    # The fingerprint is of the weights, not of the note; and the note is of these weights, not of others.
    fingerprint = folder_fingerprint(folder_hashes(out))
    note = read_json(out / "manifest.json")
    assert note["dequantised_from"]["tensors"] == {"F32": 5, "Q8_0": 16}
    assert note["files"] == folder_hashes(out)
    assert dequantised_from(out, folder_hashes(out) | {"model.safetensors": "0" * 64}) is None
    changed = (out / "manifest.json").read_text().replace('"Q8_0"', '"Q4_0"')
    (out / "manifest.json").write_text(changed)
    assert "does not fit its checksum" in problem(dequantised_from, out)
    for content in ("[1]", "no JSON", '{"name": "tiny"}'):  # somebody else's
        (out / "manifest.json").write_text(content)
        assert dequantised_from(out) is None
    write_json(out / "manifest.json", {"dequantised_from": {"file": 7}})
    assert "dequantised_from.file" in problem(dequantised_from, out)
    (out / "manifest.json").unlink()
    frozen = load(out)
    assert "dequantised_from" not in frozen.identity()
    assert frozen.resolved == fingerprint


def test_the_mixture_is_named_by_its_tensors_where_the_file_does_not_say(file):
    assert quantisation_name(read_header(file(kind="Q4_1", keys={"general.file_type": None}))) == "Q4_1"
    assert quantisation_name(read_header(file(keys={"general.file_type": 15}))) == "Q4_K_M"


def test_names_of_tensors_are_ggufs_own(families):
    for family, (frozen, _) in families.items():
        architecture = next(one for one, name in gguf.MODEL_ARCH_NAMES.items() if name == family)
        names = gguf.get_tensor_name_map(architecture, 2)
        for name in frozen.network.state_dict():
            part, ending = name.rsplit(".", 1)
            assert f"{names.get_name(part)}.{ending}" == gguf_name(name)
