"""Reports of the commands as tables, Markdown and a section of the page."""

import csv
import json
import shutil

import pytest
from commands import refused
from statsmodels.stats.multitest import multipletests

from embedgrad.cli import main
from embedgrad.reporting.carried import KINDS, rows, transfer_sentence
from embedgrad.reporting.page.carried import section
from embedgrad.reporting.page.render import environment
from embedgrad.reporting.results.carried import Report


@pytest.fixture(scope="module")
def run(home, prompt_file, tmp_path_factory):
    """A run's folder with one cell: its prompt on its own model, and in words; a second pair is the first with other numbers."""
    folder = tmp_path_factory.mktemp("results")
    cell = folder / "carry/reviews/tiny"
    files = ["--prompt-file", prompt_file, "--data", home / "reviews.csv", "--test", home / "more_reviews.csv"]
    one = [
        "--to",
        home / "model",
        "--own",
        prompt_file,
        "--steps",
        1,
        "--controls",
        2,
        "--out",
        cell / "from/tiny/p.safetensors",
    ]
    small = ["--answer-tokens", 3, "--candidates", 3, "--batch-size", 4, "--budget", 120, "--out", cell / "words.txt"]
    for command, more in (
        ("transfer", [*one, "--report", cell / "from/tiny/transfer.json"]),
        ("distil", [*small, "--report", cell / "words.json"]),
    ):
        assert main([command, *map(str, [*files, *more]), "--threads", "1"]) == 0
    shutil.copytree(cell / "from/tiny", cell / "from/other")
    return folder


def table(run, kind, found, tmp_path):
    csv_file, md, png = (tmp_path / f"{kind}.{ending}" for ending in ("csv", "md", "png"))
    files = ["--csv", csv_file, "--md", md, "--png", png]
    assert main(["carried", kind, "--found", *map(str, [*found, *files])]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    with csv_file.open(newline="") as lines:
        return [*csv.DictReader(lines)], md.read_text()


def test_a_line_per_prompt_and_contrast_with_the_reports_own_numbers(run, tmp_path):
    found = sorted((run / "carry").glob("*/*/from/*/transfer.json"))
    lines, text = table(run, "transfer", found, tmp_path)
    report = json.loads(found[0].read_text())
    assert [line["prompt_of"] for line in lines] == ["other"] * 9 + ["tiny"] * 9
    first = {(line["prompt"], line["over"]): line for line in lines[:9]}
    carried, arm = first["carried over", "text prompt"], report["arms"]["transferred"]
    assert float(carried["loss_gained"]) == pytest.approx(arm["loss_gain"], abs=1e-3)
    assert float(carried["share_of_loss_low"]) == pytest.approx(100 * arm["share"]["loss"]["interval"][0], abs=0.1)
    assert (int(carried["right"]), int(carried["n"])) == (arm["correct"], 20)
    assert float(carried["label_loss"]) == pytest.approx(arm["label_loss"], abs=1e-4)
    assert float(carried["label_loss_gained"]) == pytest.approx(arm["label_gain"], abs=1e-3)
    assert float(first["carried over, 1 steps", "text prompt, 1 steps"]["points"]) == report["contrasts"][1]["points"]
    assert "2 of them" in first["random displacement", "text prompt"]["note"]
    # One pair is between models; the other is a control, and no test of theirs.
    assert float(carried["p_(Holm)"]) == pytest.approx(arm["p"])
    assert {line["p_(Holm)"] for line in lines[9:]} == {""}
    assert (tmp_path / "transfer.csv.sha256").exists()
    assert "Carried to its own model, where all must be left, it keeps 100 % (1 cell)." in text
    assert [line["prompt"] for line in lines[:3]] == ["text prompt", "optimised there", "carried over"]
    assert text.count("\n| ") == 20


def pair(source, model, p_values):
    """A report of a prompt of ``source`` on ``model``, where what the model itself was trained for has the first p."""
    gains = {"loss_gain": 0.1, "loss_interval": [0.0, 0.2], "points": 1.0, "interval": [0.0, 2.0]}
    p = dict(zip(("optimised", "transferred", "random"), p_values, strict=True))
    arms = {
        name: {"n": 20, "correct": 9, "loss": 1.0} | (gains | {"p": p[name], "loss_p": None} if name in p else {})
        for name in ("text", *p)
    }
    controls = {"losses": [1.0], "below_transferred": 0}
    return Report("d", model, source, {"arms": arms, "contrasts": [], "controls": controls, "settings": {"steps": 1}})


def test_holms_family_is_the_pairs_between_models_and_each_test_once():
    """Three models: what was optimised on one of them stands in the reports of all three that come to it."""
    own = {"a": 0.001, "b": 0.02, "c": 0.03}
    away = {
        ("a", "b"): 0.004,
        ("a", "c"): 0.01,
        ("b", "a"): 0.03,
        ("b", "c"): 0.2,
        ("c", "a"): 0.012,
        ("c", "b"): 0.009,
    }
    reports = [pair(one, to, (own[to], away.get((one, to), 1e-9), 0.5)) for one in own for to in own]
    lines = {(line["prompt"], line["prompt of"], line["on"]): line for line in rows(reports)}
    carried = dict(zip(away, multipletests([*away.values()], method="holm")[1], strict=True))
    optimised = dict(zip(own, multipletests([*own.values()], method="holm")[1], strict=True))
    for one, to in away:
        assert lines["carried over", one, to]["p (Holm)"] == pytest.approx(carried[one, to])
        assert lines["optimised there", one, to]["p (Holm)"] == pytest.approx(optimised[to]), "three tests, not nine"
    for model in own:
        assert all("p (Holm)" not in lines[name, model, model] for name in ("carried over", "optimised there"))
        assert lines["carried over", model, model]["p"] == 1e-9


def test_words_have_their_length_and_text(run, tmp_path):
    (found,) = (run / "carry").glob("*/*/words.json")
    lines, text = table(run, "words", [found], tmp_path)
    report = json.loads(found.read_text())
    words = next(line for line in lines if line["prompt"] == "words")
    assert words["note"] == report["arms"]["distilled"]["words"]
    assert int(words["tokens"]) == report["arms"]["distilled"]["tokens"]
    assert text.startswith("In words a prompt keeps ")


def test_the_page_has_a_part_for_each_and_escapes_what_strangers_wrote(run, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(run, folder)
    found = json.loads((folder / "carry/reviews/tiny/words.json").read_text())
    found.pop("check")
    found["arms"]["distilled"]["words"] = "<script>alert(1)</script>"
    (folder / "carry/reviews/tiny/words.json").write_text(json.dumps(found))
    parts = section(folder)
    assert [part["name"] for part in parts] == ["transfer", "words"]
    assert all(len(row) == len(part["header"]) for part in parts for row in part["rows"])
    macro = "{% from 'part.html.j2' import part %}{{ part(one, 'carried', 'carry') }}"
    shown = "".join(environment().from_string(macro).render(one=part) for part in parts)
    assert 'id="carried-words"' in shown
    assert shown.count('src="data:image/svg+xml,') == 2
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>" not in shown
    assert section(tmp_path) == []


CASES = [
    (0.3, 0.01, "in 1 and behind it in 0"),
    (-0.3, 0.01, "in 0 and behind it in 1"),
    (0.3, 0.2, "in 0 and behind it in 0"),
]


def test_the_sentence_counts_what_is_ahead_and_behind(run):
    paths = sorted((run / "carry").glob("*/*/from/*/transfer.json"))
    away = KINDS["transfer"].read(paths[0])
    steps = away.found["contrasts"][1]
    for gain, p, told in CASES:
        steps |= {"loss_gain": gain, "loss_p": p}
        assert told in transfer_sentence([away])
    assert rows([]) == []


def test_a_share_of_a_gain_that_may_be_nothing_is_not_shown(run):
    (path,) = (run / "carry").glob("*/*/from/other/transfer.json")
    report = KINDS["transfer"].read(path)
    arms = report.found["arms"]
    arms["transferred"]["share"]["label"] = {"value": 2.39, "interval": None}
    assert "can be told from 0 in 0 of 1 pair." in transfer_sentence([report])
    line = next(line for line in rows([report]) if line["prompt"] == "carried over")
    assert str(line["share of label loss, %"]) == "–"
    arms["transferred"] |= {"auroc_gain": 0.2, "auroc_gain_interval": [0.1, 0.3]}
    assert "better than the text prompt in 1 and worse in 0 of 1 pair." in transfer_sentence([report])
    assert str(line["AUROC"]).startswith(f"{arms['transferred']['auroc']:.2f} [")
    arms["transferred"]["share"]["label"] = {"value": 0.5, "interval": [0.4, 0.6]}
    arms["random"]["share"]["label"] = {"value": -0.2, "interval": [-0.3, -0.1]}
    told = "can be told from 0 in 1 of 1 pair: of it 50 % is kept, by a random displacement -20 %."
    assert told in transfer_sentence([report])


def test_what_is_no_report_is_one_clear_error(run, tmp_path, capsys):
    broken = tmp_path / "carry/a/b/from/c/transfer.json"
    broken.parent.mkdir(parents=True)
    out = ["--csv", tmp_path / "t.csv", "--md", tmp_path / "t.md"]
    source = json.loads(next((run / "carry").glob("*/*/from/tiny/transfer.json")).read_text())
    source.pop("check", None)
    del source["arms"]["random"]
    broken.write_text(json.dumps(source))
    refused(capsys, ["carried", "transfer", "--found", broken, *out], "transfer.json: key arms.random is missing")
    source["arms"]["random"] = {**source["arms"]["transferred"], "label_loss": "x"}
    broken.write_text(json.dumps(source))
    refused(
        capsys,
        ["carried", "transfer", "--found", broken, *out],
        "key arms.random.label_loss is missing or of the wrong kind",
    )
    source["arms"] = []
    broken.write_text(json.dumps(source))
    refused(capsys, ["carried", "transfer", "--found", broken, *out], "transfer.json: key arms is missing")
    refused(capsys, ["carried", "words", "--found", tmp_path / "none.json", *out], "none.json")
    assert not (tmp_path / "t.csv").exists()
