"""The null control against the run's own optimisation: equal to the bit, and what is no longer equal."""

import json

import pytest
from rival_samples import ITEMS, TEXT, fitted
from tiny import tiny_model

from embedgrad.cli import main
from embedgrad.reporting.rivals import entries
from embedgrad.rivals.control import VECTORS, check_control
from embedgrad.rivals.table import CONTROL, RIVALS
from embedgrad_core import Layout, PromptEmbedding, Settings, Slot, optimize
from embedgrad_core.files import read_json, write_jsonl


@pytest.fixture
def files(tokenizer, tmp_path):
    frozen, artefact, history = fitted(tokenizer, CONTROL, 0.01)
    artefact.save(tmp_path / "fitted.st", frozen)
    write_jsonl(tmp_path / "fit.jsonl", history)

    def own(header=None, **changes):
        model = tiny_model(tokenizer)
        prompt = PromptEmbedding.from_text(model, Slot.place(model.tokenizer, Layout(), TEXT))
        settings = Settings(
            **({"learning_rate": 0.01, "epochs": 6, "batch_size": 2, "patience": 0, "seed": 1} | changes)
        )
        trained, lines = optimize(model, prompt, ITEMS, ITEMS, settings)
        trained.header["settings"] |= header or {}
        trained.save(tmp_path / "prompt.st")
        write_jsonl(tmp_path / "optimize.jsonl", lines)
        return [tmp_path / name for name in ("fitted.st", "fit.jsonl", "prompt.st", "optimize.jsonl")]

    return own


def test_the_control_is_the_runs_own_optimisation(files, tmp_path):
    found = check_control(*files())
    assert (found["equal"], found["loss"], found["vectors"], found["note"]) == (True, 0.0, 0.0, "")
    assert (found["learning_rate"], found["seed"]) == (0.01, 1)
    flags = zip(("--fitted", "--history", "--prompt", "--prompt-history"), map(str, files()), strict=True)
    assert (
        main(["rival", "check", *(word for pair in flags for word in pair), "--out", str(tmp_path / "check.json")]) == 0
    )
    assert read_json(tmp_path / "check.json") == json.loads(json.dumps(found))


def test_another_order_of_items_is_apart(files):
    found = check_control(*files(header={"seed": 1}, seed=2))
    assert not found["equal"]
    assert found["vectors"] > VECTORS
    assert found["note"] == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"learning_rate": 0.011}, "learning_rate is 0.01 in the control and 0.011 in the run"),
        ({"epochs": 5}, "epochs is 6 in the control and 5 in the run"),
        ({"optimizer": "adamw"}, "optimizer is adam in the control and adamw in the run"),
        ({"header": {"folds": 3}}, "the run chose its epoch across 3 folds"),
        ({"epochs": 5, "header": {"epochs": 6}}, "another number of epochs"),
    ],
    ids=str,
)
def test_other_settings_are_apart_and_named(files, changes, told):
    found = check_control(*files(**changes))
    assert (found["equal"], found["note"]) == (False, told)


def test_the_table_knows_the_control_by_its_name():
    assert entries.CONTROL == CONTROL in RIVALS
