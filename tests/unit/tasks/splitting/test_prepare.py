"""The certificate, and every way in which preparing a task can go wrong, on small invented data."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from embedgrad import tasks
from embedgrad.files import read_items
from embedgrad.tasks.loaded import Loaded
from embedgrad.tasks.splitting.prepare import prepare, verify
from embedgrad_core.files import Item, UserError, read_json, sha256_of_bytes, sha256_of_file

STORY = "The old clock in the hall of house {} strikes twelve although nobody has wound it since the winter of {}."


def load(mirror: Path | None, *, revision: str = "main", shout: bool = False) -> Loaded:
    """Forty items in two levels and two classes with one twin, one contradictory twin and a near pair."""
    texts = [f"{sha256_of_bytes(bytes([i]))[:30]} is number {i}" for i in range(36)]
    texts += [STORY.format(chr(65 + i), 1900 + i) for i in range(36, 40)]
    texts[9], texts[21] = texts[8], texts[20].upper()
    items = [
        Item(
            id=f"toy/{i:02d}",
            input=text.upper() if shout else text,
            target="Yes" if i % 2 else "No",
            answer="Yes" if i % 4 == 1 or i == 9 else "No",
            level=str(1 + i // 20),
        )
        for i, text in enumerate(texts)
    ]
    return Loaded(
        items, ["ab"[i % 2] for i in range(40)], {"kind": "generated", "revision": revision, "licence": "MIT"}
    )


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(tasks.TASKS, "toy", SimpleNamespace(load=load, REVISION="main"))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("toy")
class TestCertificate:
    def test_says_what_the_files_hold(self, tmp_path):
        prepare("toy", tmp_path, split={"seed": 5})
        said = read_json(tmp_path / "split.json")
        assert said == verify(tmp_path)
        for name in ("train", "dev", "test"):
            path = tmp_path / f"{name}.jsonl"
            items = read_items(path)
            assert said["files"][path.name] == sha256_of_file(path)
            assert said["ids"][name] == [item.id for item in items]
            assert [(item.level, item.id) for item in items] == sorted((item.level, item.id) for item in items)
            counts = said["counts"][name]
            assert counts["n"] == len(items)
            assert counts["by_level"] == Counter(item.level for item in items)
            assert counts["by_class"] == Counter("ab"[int(item.id[-2:]) % 2] for item in items)
        assert said["counts"]["test"]["by_level"] == {"1": 10, "2": 10}
        assert said["deviation"] == {"dev": {}, "test": {}}
        assert said["split"] == {"seed": 5, "rule": "half", "dev_fraction": 0.2, "near_duplicates": 0.5, "shingle": 5}
        assert said["source"]["licence"] == "MIT"

    def test_lists_twins_with_side_and_contradiction(self, tmp_path):
        prepare("toy", tmp_path)
        said = verify(tmp_path)
        twins = {tuple(group["ids"]): group for group in said["exact_duplicates"]}
        assert set(twins) == {("toy/08", "toy/09"), ("toy/20", "toy/21")}
        assert all(len(set(group["splits"])) == 1 for group in twins.values())
        assert twins["toy/08", "toy/09"]["contradictory"]
        assert twins["toy/20", "toy/21"]["contradictory"]
        near = said["near_duplicates"]
        assert all(len(pair["ids"]) == 2 and 0.5 <= pair["similarity"] < 1 for pair in near["pairs"])
        assert not {("toy/08", "toy/09"), ("toy/20", "toy/21")} & {tuple(pair["ids"]) for pair in near["pairs"]}
        kinds = near["counts"]
        assert kinds["test_and_rest"] + kinds["dev_and_train"] + kinds["within"] == len(near["pairs"]) == 6

    def test_grouped_keeps_near_duplicates_on_one_side_and_the_sizes(self, tmp_path):
        crossing = 0
        for seed in range(4):
            prepare("toy", tmp_path / "half", split={"seed": seed})
            prepare("toy", tmp_path / "grouped", split={"seed": seed, "rule": "grouped"})
            crossing += verify(tmp_path / "half")["near_duplicates"]["counts"]["test_and_rest"]
            said = verify(tmp_path / "grouped")
            assert said["near_duplicates"]["counts"] == {
                "test_and_rest": 0,
                "dev_and_train": 0,
                "within": 6,
                "test_and_rest_contradictory": 0,
            }
            assert said["counts"]["test"]["by_level"] == {"1": 10, "2": 10}
        assert crossing > 0

    def test_same_seed_same_bytes_other_seed_other_ids(self, tmp_path):
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            prepare("toy", tmp_path / name, split={"seed": seed})
        assert files(tmp_path / "a") == files(tmp_path / "b")
        one, other = verify(tmp_path / "a"), verify(tmp_path / "c")
        assert one["ids"] != other["ids"]
        assert one["source"]["normalised_sha256"] == other["source"]["normalised_sha256"]

    def test_inputs_are_cut_after_duplicates_are_found(self, tmp_path):
        prepare("toy", tmp_path, input_last_words=3)
        said = verify(tmp_path)
        inputs = {
            item.id: item.input for name in ("train", "dev", "test") for item in read_items(tmp_path / f"{name}.jsonl")
        }
        assert inputs["toy/36"] == "winter of 1936."
        assert inputs["toy/01"] == "is number 1"
        assert said["input_last_words"]["words"] == 3
        assert said["input_last_words"]["cut"] == 40
        assert len(said["exact_duplicates"]) == 2
        assert said["near_duplicates"]["counts"]["within"] + said["near_duplicates"]["counts"]["test_and_rest"] > 0
        assert said["input_last_words"]["equal_after_cut"] == []
        prepare("toy", tmp_path, input_last_words=50)
        assert verify(tmp_path)["input_last_words"]["cut"] == 0

    def test_a_cut_keeps_the_white_space_inside(self, tmp_path, monkeypatch):
        loaded = load(None)
        items = [dataclasses.replace(item, input=f"{item.id}  a\n\nb\tc ") for item in loaded.items]
        several = SimpleNamespace(load=lambda mirror: Loaded(items, loaded.classes, {}))
        monkeypatch.setitem(tasks.TASKS, "spaced", several)
        prepare("spaced", tmp_path, input_last_words=3)
        assert {item.input for item in read_items(tmp_path / "test.jsonl")} == {"a\n\nb\tc "}
        # every input became the same text, across all splits: the certificate must say so
        (group,) = verify(tmp_path)["input_last_words"]["equal_after_cut"]
        assert len(group["ids"]) == 40
        assert set(group["splits"]) == {"train", "dev", "test"}

    def test_pool_option_and_revision_reach_the_certificate(self, tmp_path):
        prepare("toy", tmp_path, pool=20, options={"shout": True}, revision="v2")
        said = verify(tmp_path)
        assert sum(said["counts"][name]["n"] for name in said["counts"]) == 20
        assert said["counts"]["test"]["by_level"] == {"1": 5, "2": 5}
        assert (said["pool"], said["options"], said["source"]["revision"]) == (20, {"shout": True}, "v2")
        assert all(item.input.isupper() for item in read_items(tmp_path / "dev.jsonl"))

    def test_the_search_for_near_duplicates_can_be_left_out(self, tmp_path):
        prepare("toy", tmp_path, split={"near_duplicates": None})
        assert verify(tmp_path)["near_duplicates"]["threshold"] is None
        assert verify(tmp_path)["near_duplicates"]["pairs"] == []


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "math501"}, "task 'math501' is unknown; choose one of math500, imdb, medd, causal_judgment"),
        ({"options": {"shot": True}}, "task toy has no option 'shot'; its options are: shout"),
        ({"split": {"sede": 1}}, "split has the unknown key 'sede'"),
        ({"split": {"rule": "third"}}, "split key rule is 'third'; choose one of half, grouped"),
        ({"split": {"seed": 1.5}}, "split key seed is 1.5"),
        ({"split": {"dev_fraction": 1.5}}, "split key dev_fraction is 1.5"),
        ({"split": {"dev_fraction": None}}, "split key dev_fraction is None"),
        ({"split": {"near_duplicates": 0}}, "split key near_duplicates is 0"),
        ({"split": {"rule": "grouped", "near_duplicates": None}}, "rule 'grouped' needs it"),
        ({"pool": 41}, "pool is 41; it must lie between 1 and the 40 items"),
        ({"pool": True}, "pool is True"),
        ({"pool": 3}, "leaves no item"),
        ({"input_last_words": 0}, "input_last_words is 0"),
    ],
)
def test_bad_requests_are_one_sentence_and_touch_nothing(tmp_path, asked, said):
    prepare("toy", tmp_path)
    before = files(tmp_path)
    with pytest.raises(UserError) as caught:
        prepare(**({"task": "toy", "out": tmp_path} | asked))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before


@pytest.mark.usefixtures("toy")
class TestVerify:
    @pytest.mark.parametrize("name", ["train.jsonl", "dev.jsonl", "test.jsonl"])
    def test_a_changed_file_is_named(self, tmp_path, name):
        prepare("toy", tmp_path)
        with (tmp_path / name).open("a") as out:
            out.write("\n")
        with pytest.raises(UserError, match=rf"{name}: sha256 is [0-9a-f]{{64}} but split.json says"):
            verify(tmp_path)

    def test_a_missing_file_is_named(self, tmp_path):
        prepare("toy", tmp_path)
        (tmp_path / "dev.jsonl").unlink()
        with pytest.raises(UserError, match=r"dev.jsonl: no such file"):
            verify(tmp_path)

    def test_a_changed_list_of_ids_is_named(self, tmp_path):
        prepare("toy", tmp_path)
        said = read_json(tmp_path / "split.json")
        said["ids"]["test"][0] = "toy/99"
        (tmp_path / "split.json").write_text(json.dumps(said))
        with pytest.raises(UserError, match=r"test.jsonl: its ids differ"):
            verify(tmp_path)

    @pytest.mark.parametrize("text", ["{}", "[]", '{"files": 1, "ids": {}}'])
    def test_a_certificate_without_its_keys_is_named(self, tmp_path, text):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(UserError, match=r"split.json: key 'files' is missing"):
            verify(tmp_path)

    def test_an_unprepared_folder_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"split.json: no such file"):
            verify(tmp_path)


def test_a_killed_second_run_leaves_no_certificate(tmp_path, toy, monkeypatch):
    prepare("toy", tmp_path)

    def killed(path, rows):
        raise KeyboardInterrupt

    monkeypatch.setattr("embedgrad.tasks.splitting.prepare.write_jsonl", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare("toy", tmp_path, split={"seed": 1})
    assert not (tmp_path / "split.json").exists()
