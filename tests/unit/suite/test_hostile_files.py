"""Damaged and forged files, and names that are no names: each is read, or refused by one sentence that names file and key."""

import copy

import pytest
import yaml
from places import ROOT

from embedgrad.cli import main
from embedgrad.planning.run_config import RunConfig
from embedgrad.reporting.results.cells import COLUMNS, read_cells
from embedgrad.schemas.plain import check_plain
from embedgrad_core.files import UserError, parse_json, read_json, read_jsonl

DEMO = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("EMBEDGRAD_MIRROR", raising=False)


def changed(*path, to):
    values = copy.deepcopy(DEMO)
    place = values
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return values


def renamed(kind, old, new):
    values = copy.deepcopy(DEMO)
    values[kind][new] = values[kind].pop(old)
    return values


BAD_NAMES = [
    "a b",
    "a'b",
    'a"b',
    "a;b",
    "$(id)",
    "`id`",
    "a/b",
    "..",
    "../a",
    "/a",
    "a\nb",
    "a\n",
    "-a",
    "",
    "a*",
    "ａ",
    "a\x00",
    "~",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
def test_a_name_that_is_no_name_is_refused_with_its_key(name, tmp_path):
    table = (ROOT / "config/demo_cells.tsv").read_text().splitlines()[1].split("\t")
    for values, key in (
        (changed("run", to=name), "run"),
        (renamed("tasks", "mood", name), "tasks"),
        (renamed("models", "tiny-0.2m", name), "models"),
        (changed("device", to=name), "device"),
        (changed("cells", to=[f"{name}/tiny-0.2m"]), "cells"),
        (changed("sensitivity", "cells", to=[f"mood/{name}"]), "sensitivity"),
        (
            changed("models", "tiny-0.2m", to={"hub": f"owner/{name}", "parameters": 1e6, "dtype": "auto"}),
            "models.tiny-0.2m.hub",
        ),
        (changed("tasks", "mood", "revision", to=name), "tasks.mood.revision"),
    ):
        if name == "a/b" and key == "tasks.mood.revision":
            continue  # a branch may have a slash
        with pytest.raises(UserError) as caught:
            RunConfig.check(values, "mine.yaml")
        assert key in str(caught.value)
        assert "\n" not in str(caught.value)
    for column in ("dataset", "task", "level", "model"):
        if (column, name) == ("level", ""):
            continue  # a whole task has no level
        row = {**dict(zip(COLUMNS, table, strict=True)), column: name}
        path = tmp_path / "mine.tsv"
        path.write_text("\n".join(["\t".join(COLUMNS), "\t".join(row.values()), ""]), encoding="utf-8")
        with pytest.raises(UserError, match=r"mine\.tsv:2: ") as caught:
            read_cells(path)
        assert "\n" not in str(caught.value)


def test_no_run_leaves_the_results_folder():
    for name in ("demo", "a.b", "0", "a..b", "x_y-z"):
        config = RunConfig.check(changed("run", to=name))
        folder = config.table_flags().split("--results ")[1].split()[0]
        assert (ROOT / folder).resolve().parent == ROOT / "results"
        assert (ROOT / config.model_folder("tiny-0.2m")).resolve().is_relative_to(ROOT / "results" / name)


BILLION = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML = {
    "not a mapping": ("[1, 2]\n", "expected keys and values"),
    "nothing": ("", "expected keys and values at top level, found NoneType"),
    "deep": ("[" * 1_200, "nested too deeply"),
    "aliases of aliases": (BILLION, "too many values"),
    "an alias of itself": ("run: &a [*a]\n", "too many values"),
    "no date": ("run: 2024-13-45\n", "not valid YAML"),
    "a date": ("run: 2024-01-01\n", "run: must be text or a number, found date"),
    "a number that is none": ("seeds: [.nan]\n", "seeds.0: not a number"),
    "a large number": ("seeds: [99999999999999999999]\n", "seeds.0: not a number"),
    "digits": ("seeds: [" + "9" * 5_000 + "]\n", "not valid YAML"),
    "a key that is a number": ("1: 2\n", "key '1' must be text"),
    "python": ("run: !!python/object/apply:os.system ['touch embedgrad-was-here']\n", "not valid YAML"),
    "NUL": ('run: "a\\0"\n', "no command line can carry"),
    "not UTF-8": (b"run: \xff\n", "not valid YAML"),
}


@pytest.mark.parametrize(("text", "told"), YAML.values(), ids=YAML)
def test_yaml_is_a_configuration_or_one_sentence(text, told, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        RunConfig.read(path)
    assert "mine.yaml" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (ROOT / "embedgrad-was-here").exists()


def test_a_fault_in_the_table_names_the_configuration_too(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed("cell_table", to="config/none.tsv")))
    with pytest.raises(UserError, match=r"mine\.yaml: config/none\.tsv: no such file"):
        RunConfig.read(path)


def test_the_paper_is_plain():
    check_plain(yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8")), "paper.yaml")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", "[" * 100_000, "9" * 5_000, "{", ""])
def test_json_is_json(text, tmp_path):
    with pytest.raises(ValueError):
        parse_json(text)
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"a\.json: ") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    (tmp_path / "a.jsonl").write_text(text + "\n")
    with pytest.raises(UserError, match=r"a\.jsonl:1: "):
        read_jsonl(tmp_path / "a.jsonl")


def test_an_error_is_one_line_and_cannot_steer_a_terminal(tmp_path, capsys):
    path = tmp_path / "evil\n\x1b[2J\u202e.jsonl"
    path.write_text('{"id": 1, "input": "", "target": "", "answer": "", "level": null}\n')
    arguments = [
        "grade",
        "--evaluator",
        "exact",
        "--data",
        str(path),
        "--outputs",
        str(path),
        "--out",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "evil\\n\\x1b[2J\\u202e.jsonl:1: 'id' must be text" in told
    assert "\x1b" not in told
