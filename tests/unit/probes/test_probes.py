"""What all probes share: their names, results that say why they do not apply, their part of the page."""

import json

import pytest
import yaml
from places import ROOT
from reporting_samples import DEMO_SIZES, demo_cells, make_run

from embedgrad.cli import main
from embedgrad.commands import probe as command
from embedgrad.planning.lookups import Lookups
from embedgrad.planning.run_config import RunConfig
from embedgrad.probes.applies import DoesNotApply, check_size, result_of
from embedgrad.reporting.page.probes import section
from embedgrad.reporting.probes import NOWHERE, PROBES
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad.reporting.results.probes import read_probe
from embedgrad_core.files import UserError, read_json, write_json


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    """A run of one cell, and its table."""
    folder = tmp_path_factory.mktemp("run")
    table = demo_cells(folder / "cells.tsv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0], next(line for line in lines if line.startswith("sentiment\t")), ""]))
    make_run(folder / "results", read_cells(table), DEMO_SIZES)
    return folder


def write_result(folder, name, found):
    write_json(folder / f"results/sentiment/tiny-0.2m/seed0/probes/{name}.json", found)


def shown(folder):
    return section(collect(read_cells(folder / "cells.tsv"), folder / "results"), folder / "results")


def test_schema_command_page_and_rules_know_the_same_probes():
    schema = yaml.safe_load((ROOT / "embedgrad/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    rules = {path.stem for path in (ROOT / "workflow/rules/probes").glob("*.smk")} - {"table"}
    named = set(schema["properties"]["probes"]["items"]["enum"])
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in named)
    assert named == set(command.PROBES) == set(PROBES) == rules
    assert named <= {path.stem for path in (ROOT / "embedgrad/probes").iterdir()}
    text = (ROOT / "workflow/Snakefile").read_text(encoding="utf-8")
    assert all(f'include: "rules/probes/{name}.smk"' in text for name in named)


def test_a_run_makes_the_probes_that_it_names_and_none_by_default(monkeypatch):
    monkeypatch.chdir(ROOT)
    values = yaml.safe_load((ROOT / "config/demo.yaml").read_text(encoding="utf-8"))
    without, chosen = Lookups(RunConfig.check(values)), Lookups(RunConfig.check(values | {"probes": ["cost"]}))
    assert set(chosen.report_tables()) - set(without.report_tables()) == {"results/demo/probes/cost.csv"}
    assert chosen.probe_files("cost")[0] == "results/demo/arithmetic/tiny-0.2m/seed0/probes/cost.json"
    with pytest.raises(UserError, match="probes"):
        RunConfig.check(values | {"probes": ["luck"]})


def test_a_probe_that_does_not_apply_is_a_result():
    def none() -> dict:
        raise DoesNotApply("the task has no labels")

    assert result_of("cost", none) == {"probe": "cost", "applies": False, "reason": "the task has no labels"}
    assert result_of("cost", lambda: {"n": 3}) == {"probe": "cost", "applies": True, "n": 3}
    with pytest.raises(DoesNotApply, match="4 test items"):
        check_size(4)
    check_size(8)


@pytest.mark.parametrize("name", PROBES)
def test_the_page_says_why_a_probe_does_not_apply(one_cell, name, tmp_path):
    write_result(one_cell, name, {"probe": name, "applies": False, "reason": "4 test items are too few"})
    try:
        (part,) = shown(one_cell)
        assert part["sentence"] == NOWHERE
        assert part["image"] is None
        assert part["rows"] == [["sentiment", "tiny-0.2m", "0", "does not apply: 4 test items are too few"]]
        options = ["--cell-table", str(one_cell / "cells.tsv"), "--results", str(one_cell / "results")]
        files = ["--csv", str(tmp_path / "probe.csv"), "--png", str(tmp_path / "probe.png")]
        assert main(["probe", "table", name, *options, *files]) == 0
        assert "too few" in (tmp_path / "probe.csv").read_text()
        assert (tmp_path / "probe.png").stat().st_size > 1000
    finally:
        (one_cell / f"results/sentiment/tiny-0.2m/seed0/probes/{name}.json").unlink()


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ([], r"key \(all\)"),
        ({"applies": True}, "key probe"),
        ({"probe": "cost", "applies": "yes"}, "key applies"),
        ({"probe": "luck", "applies": True}, "probe 'luck', not 'cost'"),
        ({"probe": "cost", "applies": False}, "key reason"),
        ({"probe": "cost", "applies": True, "steps": {"optimize": {}}}, "key steps.optimize.seconds"),
    ],
)
def test_a_strangers_result_is_one_error(found, told, tmp_path):
    path = tmp_path / "cost.json"
    path.write_text(json.dumps(found))
    with pytest.raises(UserError, match=f"cost.json.*{told}"):
        read_probe(path, "cost", PROBES["cost"].SHAPE)


def test_the_command_probes_a_cell_and_the_page_shows_it(one_cell, tmp_path):
    home = one_cell / "results/sentiment/tiny-0.2m/seed0"
    cell = ["--cell-table", str(one_cell / "cells.tsv"), "--dataset", "sentiment", "--model", "tiny-0.2m"]
    given = ["--metrics", str(home / "metrics.json"), "--history", str(home / "optimize.jsonl")]
    out = home / "probes/cost.json"
    assert main(["probe", "cost", *cell, *given, "--out", str(out)]) == 0
    try:
        assert read_json(out)["applies"] is True
        (part,) = shown(one_cell)
        assert part["image"].startswith("data:image/svg+xml")
        assert all(len(row) == len(part["header"]) for row in part["rows"])
        table = ["--cell-table", str(one_cell / "cells.tsv"), "--results", str(one_cell / "results")]
        assert main(["report", *table, "--out", str(tmp_path / "report.html")]) == 0
        text = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert '<a href="#probes">' in text
        assert '<h3 id="probe-cost">' in text
    finally:
        out.unlink()
