"""A rival whose library needs an environment of its own: which Python runs it, and one line where there is none."""

import sys
from dataclasses import replace

import pytest
from tiny import REVIEWS, tiny_model

from embedgrad.rivals import environment
from embedgrad.rivals.environment import in_own_environment, interpreter_of
from embedgrad.rivals.fitting import Fitting, fit_rival
from embedgrad.rivals.table import RIVALS, rival_named
from embedgrad_core import Layout, Settings
from embedgrad_core.files import Item, UserError

TEXT = "positive or negative?"
ITEMS = [Item(f"r/{n}", text, label, label, str(n % 2)) for n, (text, label) in enumerate(REVIEWS)]
BOTTLENECKS = [name for name, rival in RIVALS.items() if rival.environment]


def test_the_bottlenecks_alone_need_one():
    assert [name for name, rival in RIVALS.items() if rival.family == "bottlenecks"] == BOTTLENECKS
    assert {RIVALS[name].environment for name in BOTTLENECKS} == {"adapters"}


def test_the_python_is_named_or_lies_beside_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.delenv("EMBEDGRAD_ADAPTERS_PYTHON", raising=False)
    rival = rival_named("pfeiffer")
    assert str(interpreter_of(rival_named("lora"))) == sys.executable
    told = r"rival pfeiffer needs an environment of its own, and there is no Python at .*; `make adapters` makes it, or let "
    with pytest.raises(UserError, match=rf"{told}EMBEDGRAD_ADAPTERS_PYTHON name its Python\.$"):
        interpreter_of(rival)
    beside = tmp_path / ".venv-adapters" / "bin" / "python"
    beside.parent.mkdir(parents=True)
    beside.symlink_to(sys.executable)
    assert interpreter_of(rival) == beside
    monkeypatch.setenv("EMBEDGRAD_ADAPTERS_PYTHON", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=told):
        interpreter_of(rival)
    (tmp_path / "gone").write_text("not to be run")
    with pytest.raises(UserError, match=told):
        interpreter_of(rival)
    monkeypatch.setenv("EMBEDGRAD_ADAPTERS_PYTHON", sys.executable)
    assert str(interpreter_of(rival)) == sys.executable


def test_a_command_becomes_that_python_once(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    monkeypatch.setenv("EMBEDGRAD_ADAPTERS_PYTHON", str(python))
    monkeypatch.setattr(sys, "argv", ["embedgrad", "rival", "fit", "--rival", "pfeiffer"])
    became = []
    monkeypatch.setattr(environment.os, "execv", lambda *words: became.append(words))
    in_own_environment(rival_named("lora"))
    assert not became
    in_own_environment(rival_named("pfeiffer"))
    assert became == [(python, [str(python), "-m", "embedgrad", "rival", "fit", "--rival", "pfeiffer"])]
    monkeypatch.setattr(sys, "executable", str(python))
    in_own_environment(rival_named("pfeiffer"))
    assert len(became) == 1


@pytest.mark.parametrize("name", [name for name, rival in RIVALS.items() if rival.library])
def test_without_its_library_a_rival_is_one_error(tokenizer, monkeypatch, name):
    monkeypatch.setattr(environment, "find_spec", lambda library: None)
    with pytest.raises(
        UserError, match=rf"^rival {name} needs {rival_named(name).library}, which is not installed: `make rivals`"
    ):
        fit(tokenizer, rival_named(name))


def test_what_is_the_suites_own_needs_no_library():
    own = {name for name, rival in RIVALS.items() if not (rival.library or rival.environment)}
    assert {
        "prompt_tuning_text",
        "prefix_text",
        "fine_tuning",
        "autoprompt",
        "gcg",
        "few_shot_4",
        "self_refine_1",
    } <= own


@pytest.mark.parametrize("name", BOTTLENECKS)
def test_run_without_its_environment_a_rival_is_one_error(tokenizer, name):
    # This Python's transformers is one that the library cannot be imported with, be it installed or not.
    with pytest.raises(UserError) as error:
        fit(tokenizer, rival_named(name))
    assert f"rival {name} runs in an environment of its own" in str(error.value)
    assert "`make adapters` makes it" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("adapter_drop", {"drop": 1.0}, r"setting drop is 1.0; give the share of layers without, from 0 to below 1"),
        ("adapter_drop", {"drop": -0.1}, "setting drop is -0.1"),
        ("houlsby", {"config": "parallel"}, "setting config is 'parallel'; there are houlsby, pfeiffer"),
        ("houlsby", {"reduction": 33}, "setting reduction is 33; give 1 to 32"),
        ("houlsby", {"drop": 0.5}, "no setting 'drop'; it has config, reduction"),
    ],
)
def test_a_bad_setting_is_one_error(tokenizer, name, changes, told):
    with pytest.raises(UserError, match=told):
        fit(tokenizer, rival_named(name), changes=changes)


@pytest.mark.parametrize("levels", [(None, None), ("1", "1"), ("1", None)])
def test_fusion_is_not_applicable_without_levels(tokenizer, levels):
    items = [replace(item, level=levels[place % 2]) for place, item in enumerate(ITEMS)]
    with pytest.raises(
        UserError, match="rival adapter_fusion: not applicable to this task: it fuses adapters of several"
    ):
        fit(tokenizer, rival_named("adapter_fusion"), items)


def test_fusion_needs_steps_for_both_halves(tokenizer):
    with pytest.raises(UserError, match="1 step is too few for adapters and their fusion"):
        fit(tokenizer, rival_named("adapter_fusion"), epochs=1)


def fit(tokenizer, rival, items=ITEMS, changes=None, epochs=2):
    fitting = Fitting(Layout(), TEXT, items, items, Settings(0.01, epochs), log=lambda line: None)
    return fit_rival(tiny_model(tokenizer), rival, fitting, changes)
