"""The claims of Sections 4 and 5: all numbers covered, recomputed from the table, and held against a run."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prompt_reports import lat_report
from reporting_samples import cell, make_run
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from embedgrad.cli import main
from embedgrad.reporting.claims import (
    COMPATIBLE,
    FAILS,
    HOLDS,
    INCONCLUSIVE,
    NOT_TESTABLE,
    OPEN,
    check_claims,
    prompt,
    read_claims,
)
from embedgrad.reporting.claims.measured import Measured, Run, judge
from embedgrad.reporting.claims.rivals import RIVAL_KINDS
from embedgrad.reporting.claims.values import KINDS
from embedgrad.reporting.results.cells import read_cells
from embedgrad.reporting.results.collected import collect
from embedgrad.reporting.statistics import fieller
from embedgrad.reporting.tables import write_table
from embedgrad_core.files import UserError, write_json

ROOT = Path(__file__).resolve().parents[3]
# Those of other methods, from other sections too: tests/unit/reporting/rivals.
CLAIMS = [one for one in read_claims(ROOT / "config" / "claims.tsv") if one.kind not in RIVAL_KINDS]
PAPER = read_cells(ROOT / "config" / "cells.tsv")
# Names, citations and references hold digits that claim nothing.
NAMES = (
    r"\([^()]*(?:19|20)\d\d[^()]*\)|\((?:Johnson|Team) \d{4}\)|Qwen2\.5(?:-Math)?(?:-\d\.?\d?B(?:/7B)?)?|Qwen-\d+\.?\d?B"
    r"|H_?\\?.?trajectory.*?\(11\)|poriginal>0\.95|5 Discussion|\\log_\{2\}"
    r"|Llama-8B|Ma(?:th|TH)500|MATH500|GPT-4|Table \d|Figure \d|\b\d\.\d? ?[A-Z]|\b5\.\d |\(1[01]\)"
    r"|(?:the |The |like the |smaller |larger )?\d\.?\d?B (?:models?|variant|version)|k=1|t=1|T1|log2|first-layer"
)


def table_only():
    return {one.id: one for one in check_claims(CLAIMS, PAPER, [], ROOT)}


def test_what_the_table_says():
    found = table_only()
    verdicts = {key: one.table_verdict for key, one in found.items() if one.table_verdict != OPEN}
    assert {key for key, verdict in verdicts.items() if verdict == FAILS} == {
        "setup-llama",  # no such row
        "causal-gain",  # 61.05 - 50.53 is 10.52
        "scale-ratio",  # recomputed below
        "task-ratio",
    }
    assert found["scale-ratio"].from_table == f"{(14.28 + 74.54 + 10.52) / (7.14 + 8.23 + 2.11):.2f}"
    medd, imdb = (74.54 + 27.04 + 4.74 + 8.53 + 8.23), (14.28 + 11.91 + 9.52 + 7.15 + 7.14)
    assert found["task-ratio"].from_table == f"{medd / imdb:.2f}"
    assert found["maths-l1-gain"].table_verdict == HOLDS


def test_a_table_that_prints_no_number_says_nothing():
    bare = [replace(cell, before=None, after=None, delta=None) for cell in PAPER]
    found = {one.id: one for one in check_claims(CLAIMS, bare, [], ROOT)}
    for claim in ("maths-l1-gain", "scale-ratio", "maths-after"):
        assert (found[claim].from_table, found[claim].table_verdict) == ("", OPEN)


@pytest.mark.parametrize(("best", "verdict"), [("0.01", HOLDS), ("0.02", HOLDS), ("0.001", FAILS), (None, OPEN)])
def test_the_sweep_decides_about_the_learning_rate(tmp_path, best, verdict):
    lines = ["dataset,model,learning_rate,best_rate"]
    for rate in ("0.0001", "0.001", "0.01", "0.02"):
        lines.append(f"math500,qwen2.5-math-1.5b,{rate},{rate == best}")
    if best:
        (tmp_path / "sensitivity.csv").write_text("\n".join(lines) + "\n")
    found = {one.id: one for one in check_claims(CLAIMS, PAPER, [], tmp_path)}
    assert found["rate-small"].run_verdict == verdict
    assert found["rate-small"].control.startswith("no interval") == bool(best)
    assert found["rate-large"].run_verdict == OPEN, "the other model was not swept"


def test_a_sweep_s_table_that_changed_is_refused(tmp_path):
    names = ("dataset", "model", "learning_rate", "best_rate")
    path = tmp_path / "sensitivity.csv"
    write_table([dict(zip(names, ("math500", "qwen2.5-math-1.5b", 0.01, True), strict=True))], names, path)
    assert {one.id: one for one in check_claims(CLAIMS, PAPER, [], tmp_path)}["rate-small"].run_verdict == HOLDS
    path.write_text(path.read_text().replace("0.01", "0.11"))
    with pytest.raises(UserError, match=r"sensitivity\.csv: not the table that sensitivity\.csv\.sha256 certifies"):
        check_claims(CLAIMS, PAPER, [], tmp_path)
    (tmp_path / "sensitivity.csv.sha256").unlink()
    for told in ("dataset\na\n", "dataset,model\na,b\n"):
        path.write_text(told)
        with pytest.raises(UserError, match=r"sensitivity\.csv: not a table of a sweep"):
            check_claims(CLAIMS, PAPER, [], tmp_path)


@pytest.mark.parametrize(("best", "share"), [((6, 14), "0.50"), ((3, 10), "1.00"), ((15, 20), "0.00")])
def test_overfitting_is_read_off_the_sweep_where_no_cell_was_trained_longer(tmp_path, best, share):
    """The best epoch of 20 at each cell's best rate; the other rates say nothing."""
    lines = ["dataset,model,learning_rate,best_epoch,best_rate"]
    for model, epoch in zip(("qwen2.5-math-1.5b", "qwen2.5-math-7b"), best, strict=True):
        lines += [f"math500,{model},0.1,1,False", f"math500,{model},0.01,{epoch},True"]
    (tmp_path / "sensitivity.csv").write_text("\n".join(lines) + "\n")
    found = {one.id: one for one in check_claims(CLAIMS, PAPER, [], tmp_path)}["overfitting"]
    assert float(found.from_run) == float(share)
    assert found.run_verdict == INCONCLUSIVE, "two cells are few"


def test_every_number_of_sections_4_and_5_is_covered(mirror):
    paper = mirror / "paper" / "embedgrad.txt"
    if not paper.exists():
        pytest.skip("the paper's text is not beside the mirror")
    text = paper.read_text(encoding="utf-8")
    text = " ".join(text[text.index("4.1 Experimental Setup") : text.index("6 Conclusion and future work")].split())
    for claim in CLAIMS:
        if claim.section[0] in "45":
            assert " ".join(claim.quotation.split()) in text, claim.id
    left = text
    for claim in CLAIMS:
        left = left.replace(" ".join(claim.quotation.split()), " ")
    left = re.sub(NAMES, " ", left)
    assert re.findall(r".{0,40}\d+(?:\.\d+)?.{0,20}", left) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id\tsection\n", "the header must be these columns"),
        ("\t".join(["id section quotation kind arguments relation printed".replace(" ", "\t")]) + "\n"
         "a\t4\tq\t__import__\t\t=\t1\n", "kind '__import__'"),
        ("id\tsection\tquotation\tkind\targuments\trelation\tprinted\na\t4\tq\tgain\n", r"claims\.tsv:2: 4 fields"),
        ("id\tsection\tquotation\tkind\targuments\trelation\tprinted\na\t4\tq\tgain\tx y\t=\t1\t2\n", "8 fields, the header has 7"),
    ],
)  # fmt: skip
def test_broken_claims_are_named(tmp_path, text, reason):
    (tmp_path / "claims.tsv").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_claims(tmp_path / "claims.tsv")


def test_the_command_writes_both_tables(tmp_path, capsys):
    table, claims = ROOT / "config" / "cells.tsv", ROOT / "config" / "claims.tsv"
    flags = ["--paper-table", str(table), "--claims", str(claims), "--out-folder", str(tmp_path)]
    assert main(["audit", *flags]) == 0
    assert "claims: 4 of 43 contradict the paper's own table" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        *("audit.csv", "audit.csv.sha256", "audit.md"),
        *("claims.csv", "claims.csv.sha256", "claims.md"),
    }


@pytest.mark.parametrize(
    ("relation", "value", "interval", "word"),
    [
        ("=", 0.95, None, HOLDS),
        ("=", 0.96, None, FAILS),
        ("=", 0.90, (0.8, 0.97), COMPATIBLE),  # an interval that holds the printed number does not prove it
        ("=", 0.90, (0.8, 0.94), FAILS),
        (">", 0.97, None, HOLDS),
        (">", 0.95, None, FAILS),
        (">", 0.97, (0.96, 0.98), HOLDS),
        (">", 0.97, (0.94, 0.99), INCONCLUSIVE),
        (">", 0.90, (0.85, 0.95), FAILS),
        ("<", 0.90, (0.85, 0.94), HOLDS),
        ("<", 0.90, (0.85, 0.96), INCONCLUSIVE),
        ("<", 0.97, (0.95, 0.99), FAILS),
    ],
)
def test_the_word_on_a_claim_comes_from_the_interval(relation, value, interval, word):
    assert judge(relation, value, 0.95, 0.01, interval) == word
    assert Measured(value, interval).verdict(relation, 0.95, 0.01) == word
    assert Measured(value, interval, gate="no valid direction").verdict(relation, 0.95, 0.01) == NOT_TESTABLE


def test_the_intervals_by_other_means():
    values = [0.1, 0.4, 0.35, 0.8, 0.2]
    found = Measured.mean(values)
    expected = DescrStatsW(values).tconfint_mean()
    assert (found.value, found.interval) == (pytest.approx(np.mean(values)), pytest.approx(expected, abs=1e-9))
    assert Measured.mean([0.3]).interval is None
    assert Measured.mean([]) is None
    assert Measured.share(3, 8).interval == pytest.approx(proportion_confint(3, 8, method="wilson"), abs=1e-9)
    assert Measured.share(0, 0) is None


def test_fiellers_interval_solves_its_own_equation():
    """Each end r is where a - r b lies 1.96 of its standard errors from 0."""
    a, v, b, w = 12.0, 4.0, 5.0, 1.0
    low, high = fieller(a, v, b, w)
    assert low < a / b < high
    for end in (low, high):
        assert abs(a - end * b) / (v + end**2 * w) ** 0.5 == pytest.approx(norm.ppf(0.975), abs=1e-9)
    assert fieller(12.0, 4.0, 1.0, 1.0) is None, "a denominator that may be 0 bounds no ratio"


def read_of(tmp_path, report):
    one = cell()
    make_run(tmp_path, [one], {"sums": {None: 20}})
    write_json(tmp_path / one.dataset / one.model / "seed0" / "lat.json", report)
    return prompt.smallest_activation(run := Run({}, {}, collect([one], tmp_path), tmp_path)), prompt.first_layer(run)


def test_an_activation_is_read_by_the_template_where_its_direction_is_valid(tmp_path):
    report = lat_report(random.Random(0), 4)
    layers = report["readers"]["template"]["layers"]
    layers[0]["accuracy"]["held_out"] = layers[3]["accuracy"]["held_out"] = 0.5
    for row, delta in zip(layers, (-9.0, 2.0, 1.5, -8.0), strict=True):
        row["readings"]["input_last"] |= {"delta": delta, "both": [delta - 1, delta + 1], "displaced": [-0.25, 0.5]}
    least, first = read_of(tmp_path, report)
    assert (least.value, least.gate) == (1.5, "")
    assert least.interval == pytest.approx((0.5, 1.5 + norm.ppf(1 - 0.025 / 2) / norm.ppf(0.975))), (
        "picked from two layers"
    )
    assert least.control == (
        "2 of 4 layers have a valid direction; random ones there: -1.50 to 1.50; of shuffled labels: -1.40 to 1.40; prompts "
        "moved as far at random: -0.25 to 0.50; reader of 1 of 1 cells: template at input_last"
    )
    assert first.value == 1
    assert "template at input_last" in first.control


def test_an_activation_is_read_by_the_responses_where_the_template_has_no_valid_direction(tmp_path):
    report = lat_report(random.Random(0), 4)
    for row in report["readers"]["template"]["layers"]:
        row["accuracy"]["held_out"] = 0.8
    deltas = [row["readings"]["prompt_mean"]["delta"] for row in report["readers"]["responses"]["layers"]]
    least, first = read_of(tmp_path, report)
    assert least.value == min(deltas)
    assert least.control.endswith("reader of 1 of 1 cells: responses at prompt_mean: template not valid")
    assert first.value == (max(deltas) in deltas[:2])


def test_a_cell_without_the_templates_reading_counts_only_where_no_cell_has_it(tmp_path):
    newer, older = lat_report(random.Random(0), 4), lat_report(random.Random(1), 4)
    del older["readers"]["template"]
    old = cell(model="older")
    make_run(tmp_path, [old], {"sums": {None: 20}})
    write_json(tmp_path / old.dataset / old.model / "seed0" / "lat.json", older)
    alone = prompt.smallest_activation(Run({}, {}, collect([old], tmp_path), tmp_path))
    assert "1 of 1 cells: responses at prompt_mean: template not computed" in alone.control
    least, _ = read_of(tmp_path, newer)
    both = prompt.smallest_activation(Run({}, {}, collect([cell(), old], tmp_path), tmp_path))
    assert both == least


@pytest.mark.parametrize(
    ("allowed", "ran", "best", "told"),
    # Epochs allowed and run, the best one, and whether the run can say that it lies in 5-10. Patience is 3.
    [(10, 10, 7, "compatible"), (10, 6, 3, "does not hold"), (5, 5, 2, "not testable"), (5, 5, 4, "not testable")],
)
def test_a_best_epoch_counts_where_so_many_epochs_were_allowed(tmp_path, allowed, ran, best, told):
    settings = {"epochs": allowed, "patience": 3}
    metrics = {"prompt": {"best_epoch": best, "epochs_run": ran, "settings": settings}}
    found = KINDS["best_epochs"][1](Run({("imdb", "tiny"): metrics}, {}, [], tmp_path), "5", "10")
    assert found.verdict("=", 1.0, 0.01) == told
