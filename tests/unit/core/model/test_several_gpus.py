"""A model whose layers lie on two GPUs gives the numbers of an undivided one, and a GPU is never asked for another's tensors."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from embedgrad_core import load_model
from embedgrad_core.files import UserError
from embedgrad_core.model import loading as LOADING


@pytest.fixture
def folder(frozen, tmp_path):
    frozen.network.save_pretrained(tmp_path)
    frozen.tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def test_one_device_is_never_divided(folder):
    said = []
    assert not load_model(folder, device="cpu", device_map="auto", log=said.append).is_divided
    assert "GPUs" not in said[0]
    with pytest.raises(UserError, match="device_map is 'somehow'; it must be one of none, auto, balanced"):
        load_model(folder, device="cpu", device_map="somehow")


def test_cards_that_do_not_hold_a_model_are_refused(folder, monkeypatch):
    def partly(name, *, device_map, **more):
        assert device_map == "balanced"
        network, report = whole(name, **more)
        network.hf_device_map = {"model.embed_tokens": 0, "model.layers.1": "disk"}
        return network, report

    whole = AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", partly)
    monkeypatch.setattr(LOADING, "choose_device", lambda *_: (torch.device("cuda"), torch.float32, "pretended"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"the 2 visible GPUs do not hold it .parts are left to disk"):
        load_model(folder, device_map="balanced", log=lambda line: None)
