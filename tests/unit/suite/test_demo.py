"""The embedded demo: its models are ordinary checkpoints, its items are never pretrained on, its parts have no seams."""

from itertools import islice

import pytest
import yaml
from places import ROOT
from transformers import AutoModelForCausalLM, AutoTokenizer

from embedgrad import demo_models, tasks
from embedgrad.grading import Grading
from embedgrad.tasks.generated import is_held_out
from embedgrad_core import Layout, Slot
from embedgrad_core.files import TEMPORARY, UserError
from embedgrad_core.training.loop import OPTIMIZERS

DEMO = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
GENERATED = tuple(DEMO["tasks"])
TINY = {"layers": 1, "width": 16, "heads": 2, "feed_forward": 16, "steps": 3, "batch_size": 4}


def test_the_prompts_of_the_corpus_are_the_demos():
    assert {name: spec["prompt"] for name, spec in DEMO["tasks"].items()} == demo_models.PROMPTS
    assert set(DEMO["optimize"]) - {"optimizer"} <= set(
        yaml.safe_load((ROOT / "config/paper.yaml").read_text())["optimize"]
    )
    assert DEMO["optimize"]["optimizer"] in OPTIMIZERS


@pytest.mark.parametrize("name", GENERATED)
def test_items_are_distinct_seeded_and_held_out(name):
    items = tasks.find(name).load(None, seed=3).items
    assert len({item.input for item in items}) == len(items) >= 160
    assert all(is_held_out(item.input) for item in items)
    assert items == tasks.find(name).load(None, seed=3).items
    assert items != tasks.find(name).load(None, seed=4).items


def test_pretraining_never_sees_an_evaluation_item():
    pool = {item.input for name in GENERATED for item in tasks.find(name).load(None).items}
    for asked, _, _ in islice(demo_models.documents(0), 5_000):
        assert not any(asked.endswith(f" {text}") for text in pool if text[-1] == asked[-1] and text in asked)


@pytest.mark.parametrize("name", GENERATED)
def test_targets_are_graded_correct(name):
    task = tasks.find(name)
    options = (
        {"labels": list(task.LABELS), "synonyms": getattr(task, "SYNONYMS", {})} if task.EVALUATOR == "label" else {}
    )
    grading = Grading(task.EVALUATOR, options)
    items = task.load(None).items[::7]
    for item in items:
        assert grading.grade(item.target, item.answer).status == "correct", item
        wrong = next(other.answer for other in items if other.answer != item.answer)
        assert grading.grade(item.target, wrong).status == "wrong"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("models") / "tiny"
    demo_models.pretrain("tiny", out, seed=1, **TINY)
    return out


def test_a_model_is_an_ordinary_checkpoint(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert type(model).__name__ == "Qwen2ForCausalLM"
    assert tokenizer.eos_token_id == model.config.eos_token_id
    for name, prompt in demo_models.PROMPTS.items():
        for layout in (Layout(target_prefix="\n"), Layout("chat")):
            slot = Slot.place(tokenizer, layout, prompt)
            for item in tasks.find(name).load(None).items[::10]:
                assert slot.is_seamless(item.input)
                text = tokenizer.decode([*slot.prompt_ids, *slot.body_ids(item.input), *slot.target_ids(item)])
                assert text.endswith(
                    f"\n{item.target}{tokenizer.eos_token}" if layout.kind == "bare" else tokenizer.eos_token
                )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder, tmp_path):
    demo_models.pretrain("tiny", tmp_path / "again", seed=1, **TINY)
    demo_models.pretrain("tiny", tmp_path / "other", seed=2, **TINY)
    weights = [(place / "model.safetensors").read_bytes() for place in (folder, tmp_path / "again", tmp_path / "other")]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "other"], "no temporary folder is left"


def test_what_a_killed_pretraining_leaves_has_the_name_of_a_temporary_folder(tmp_path, monkeypatch):
    """So the next start clears it away, and leftovers are seen."""
    seen = []
    monkeypatch.setattr(demo_models, "write_json", lambda path, value: seen.append(path.parent))
    demo_models.pretrain("tiny", tmp_path / "tiny", seed=1, **TINY)
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".tiny.")
    assert seen[0].name.endswith(TEMPORARY)
    demo_models.pretrain("tiny", tmp_path / "tiny", seed=1, **TINY)  # over an older one
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_shape_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a multiple of heads"):
        demo_models.pretrain("tiny", tmp_path / "x", **{**TINY, "heads": 3})
