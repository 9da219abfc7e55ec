"""Forecasts against the real data and a real model."""

import pytest
from transformers import AutoTokenizer

from embedgrad import tasks
from embedgrad.planning.access import look_up, look_up_data
from embedgrad.planning.work import COUNTED, RECORDED


@pytest.fixture(scope="session")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(autouse=True)
def _measured_once(caches, monkeypatch):
    """What every job takes here is kept for these tests, and not where the user's own figures are."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))


FOLDERS = {151_936: "tokenizers/qwen2.5", 128_256: "tokenizers/llama-3.1", 49_152: "models/SmolLM2-135M-Instruct"}


@pytest.mark.mirror
@pytest.mark.parametrize("task", COUNTED)
@pytest.mark.parametrize("vocabulary", RECORDED)
def test_recorded_tokens_are_those_of_the_data(mirror, vocabulary, task):
    folder = mirror / FOLDERS[vocabulary]
    if not folder.is_dir():
        pytest.skip(f"EMBEDGRAD_MIRROR holds no {FOLDERS[vocabulary]}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    items = tasks.find(task).load(mirror).items
    body, target = RECORDED[vocabulary][task]

    def mean(texts):
        return sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts) / len(items)

    if task != "imdb":  # the mirror holds a part of it
        assert len(items) == COUNTED[task]
    assert mean([item.input for item in items]) == pytest.approx(body, abs=0.6)
    expected = target["solution"] if isinstance(target, dict) else target
    assert mean([item.target for item in items]) == pytest.approx(expected, abs=0.6)
    if isinstance(target, dict):
        assert mean([item.answer for item in items]) == pytest.approx(target["answer"], abs=0.6)


@pytest.mark.mirror
def test_local_folders(mirror, tmp_path):
    found = look_up("mine", {"folder": "x"}, str(mirror / "models" / "stories3M"))
    assert found.where == "here"
    assert found.shape.layers > 0
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in look_up("mine", {"folder": "x"}, str(tmp_path / "empty")).missing


@pytest.mark.mirror
def test_the_mirrors_data_are_found(mirror):
    assert {look_up_data(name, {}, mirror).where for name in COUNTED} == {"here"}
