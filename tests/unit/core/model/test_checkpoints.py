"""Checkpoints as they are found: sharded, in bfloat16, pickled, without an end token."""

import json
import re
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny_model

from embedgrad_core import Layout, Slot, load_model
from embedgrad_core.files import Item, UserError


def quiet(line):
    """Nothing."""


def test_a_sharded_checkpoint_is_the_same_model(tokenizer, tmp_path):
    plain = tiny_model(tokenizer)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, size in ((whole, "1GB"), (parts, "20KB")):
        plain.network.save_pretrained(folder, max_shard_size=size)
        tokenizer.save_pretrained(folder)
    shards = sorted(parts.glob("*.safetensors"))
    assert len(shards) > 1
    one, many = (load_model(str(folder), device="cpu", log=quiet) for folder in (whole, parts))
    ids = torch.arange(12)[None]
    assert torch.equal(one.network(ids).logits, many.network(ids).logits)
    before = many.resolved
    shards[-1].rename(tmp_path / "gone")
    with pytest.raises(UserError, match=r"model folder .*parts: cannot be loaded"):
        load_model(str(parts), device="cpu", log=quiet)
    (tmp_path / "gone").rename(shards[-1])
    shards[-1].write_bytes(shards[-1].read_bytes()[:-1] + b"\1")
    assert load_model(str(parts), device="cpu", log=quiet).resolved != before


def test_a_model_saved_in_bfloat16_computes_in_what_the_device_does_best(tokenizer, tmp_path):
    tiny_model(tokenizer).network.to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    told = []
    assert load_model(str(tmp_path), device="cpu", log=told.append).dtype == torch.float32
    assert "dtype float32: the best this device computes in" in told[0]
    assert load_model(str(tmp_path), device="cpu", dtype="bfloat16", log=quiet).dtype == torch.bfloat16


def test_pickled_weights_are_not_read(tokenizer, tmp_path):
    model = tiny_model(tokenizer)
    model.network.config.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    torch.save(model.network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"cannot be loaded .*safetensors"):
        load_model(str(tmp_path), device="cpu", log=quiet)


def test_a_tokenizer_without_pad_or_end(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    bare = type(tokenizer).from_pretrained(tmp_path)
    bare.pad_token = bare.eos_token = None
    item = Item("i", "a film", "good", "good")
    slots = [Slot.place(one, Layout(), "Is it good?") for one in (tokenizer, bare)]
    with_end, without = (slot.target_ids(item) for slot in slots)
    assert with_end == [*without, tokenizer.eos_token_id]


def test_a_template_that_refuses_is_one_error(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    for template in (None, "{{ raise_exception('no system role') }}", "{{ messages[0]['content'] | upper }}"):
        other = type(tokenizer).from_pretrained(tmp_path)
        other.chat_template = template
        with pytest.raises(UserError):
            Slot.place(other, Layout("chat"), "Is it good?")


GEMMA_2 = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] | trim + "
    "'<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def test_a_template_without_a_system_turn(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    gemma = type(tokenizer).from_pretrained(tmp_path)
    gemma.chat_template = GEMMA_2
    slot = Slot.place(gemma, Layout("chat"), "Is it good?")
    turns = [{"role": "user", "content": "Is it good? a film"}]
    assert slot.rendered("a film") == gemma.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert slot.is_seamless("a film")
    with pytest.raises(
        UserError, match=r"System role not supported\); use layout bare, or an empty layout\.system_message\."
    ):
        Slot.place(gemma, Layout("chat", system_message="Be brief."), "Is it good?")
    with pytest.raises(UserError, match=r"use layout bare, or layout\.slot user\."):
        Slot.place(gemma, Layout("chat", slot="system"), "Is it good?")


def test_more_layers_than_the_weights_have_tensors_are_refused_before_they_are_built(tokenizer, tmp_path):
    tiny_model(tokenizer).network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    for changed in ({**config, "num_hidden_layers": 2**31}, {**config, "text_config": {"n_layer": 2**31}}):
        changed.pop("layer_types")  # their number would be checked first
        path.write_text(json.dumps(changed))
        started = time.process_time()
        with pytest.raises(UserError, match=r"config\.json states 2147483648 layers, but the weights hold \d+ tensors"):
            load_model(str(tmp_path / "model"), device="cpu", log=lambda line: None)
        assert time.process_time() - started < 5


def test_weights_that_are_missing_are_never_drawn_at_random(tokenizer, tmp_path):
    frozen = tiny_model(tokenizer)
    frozen.network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if "layers.1.mlp" in name)
    save_file(
        {name: weight for name, weight in weights.items() if name != lost},
        tmp_path / "model.safetensors",
        {"format": "pt"},
    )
    with pytest.raises(UserError, match=rf"1 of its weights are not in its files, {re.escape(lost)} first"):
        load_model(str(tmp_path), device="cpu", log=lambda line: None)


def test_a_checkpoint_s_own_code_is_never_run(tokenizer, tmp_path):
    folder, trace = tmp_path / "model", tmp_path / "ran"
    tiny_model(tokenizer).network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "modeling_own.py").write_text(f"open({str(trace)!r}, 'w').close()\n")
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "modeling_own.C", "AutoModelForCausalLM": "modeling_own.M"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"model .*: it brings Python code of its own, which is never run here"):
        load_model(str(folder), device="cpu", log=quiet)
    assert not trace.exists()
