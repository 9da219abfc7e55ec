"""Learning rate × epochs: best epoch and rate, curves that stopped, and the rules that make them."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.stats import binom

from embedgrad.cli import main
from embedgrad.planning.run_config import RunConfig
from embedgrad.reporting.sensitivity import read_curves, table
from embedgrad_core.files import UserError, write_jsonl

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def histories(tmp_path):
    runs = {"0.001": [2.0, 1.5, 1.2, 1.1], "0.01": [2.0, 0.9, 0.7, 0.8], "1": [2.0, None]}
    paths = []
    for rate, losses in runs.items():
        path = tmp_path / "sums" / "tiny" / f"lr{rate}" / "optimize.jsonl"
        rows = [{"epoch": n, "dev_loss": loss, "dev_accuracy": 0.1 * n} for n, loss in enumerate(losses)]
        write_jsonl(path, [row if row["dev_loss"] is not None else {"epoch": 1, "stopped": "nan"} for row in rows])
        paths.append(path)
    return tmp_path, paths


def test_the_best_rate_and_epoch_are_those_of_the_lowest_dev_loss(histories):
    folder, paths = histories
    rows = {row["learning_rate"]: row for row in table(read_curves(paths, folder))}
    assert [rows[rate]["best_rate"] for rate in (0.001, 0.01, 1.0)] == [False, True, False]
    assert rows[0.01]["best_epoch"] == 2
    assert rows[0.01]["dev_accuracy"] == pytest.approx(0.2)
    assert rows[1.0]["best_epoch"] == 0
    assert rows[1.0]["last_dev_loss"] is None


def swept(folder, losses):
    """A cell's sweep, from the losses of the dev items: rate → epochs → items."""
    paths = []
    for rate, epochs in losses.items():
        paths.append(folder / "sums" / "tiny" / f"lr{rate}" / "optimize.jsonl")
        rows = [{"epoch": n, "dev_loss": float(np.mean(one)), "dev_losses": one} for n, one in enumerate(epochs)]
        write_jsonl(paths[-1], rows)
    return table(read_curves(paths, folder))


def test_how_often_another_rate_would_be_the_best(tmp_path):
    """Two rates, each better on its own items: who wins is binomial, ties going to the smaller rate."""
    n, better = 9, 5
    first, second = [[0.0] * better + [1.0] * (n - better)], [[1.0] * better + [0.0] * (n - better)]
    shares = [row["wins_resampled"] for row in swept(tmp_path, {"0.001": first, "0.01": second})]
    assert shares[0] == pytest.approx(binom.sf(n / 2, n, better / n), abs=0.03)
    assert sum(shares) == pytest.approx(1)
    # Each draw takes the epoch that is best in it.
    shares = [row["wins_resampled"] for row in swept(tmp_path, {"0.001": [[0.5] * n], "0.01": first + second})]
    assert shares == [0, 1]


def test_without_the_losses_of_the_items_there_is_no_interval(histories, tmp_path, capsys):
    folder, paths = histories
    assert {row["wins_resampled"] for row in table(read_curves(paths, folder))} == {None}
    flags = ["--folder", str(folder), "--csv", str(tmp_path / "s.csv"), "--histories", *map(str, paths)]
    assert main(["sensitivity", *flags]) == 0
    assert "best at 0.01, epoch 2 (no interval)" in capsys.readouterr().out
    paths[0].write_text('{"epoch": 0, "dev_loss": 1.0, "dev_losses": ["x"]}\n')
    with pytest.raises(UserError, match=r":1: 'dev_losses' must be numbers"):
        read_curves(paths, folder)


def test_the_command_draws_and_tabulates(histories, tmp_path, capsys):
    folder, paths = histories
    flags = ["--folder", str(folder), "--csv", str(tmp_path / "s.csv"), "--png", str(tmp_path / "s.png")]
    assert main(["sensitivity", *flags, "--histories", *map(str, paths)]) == 0
    assert "sums/tiny: best at 0.01, epoch 2" in capsys.readouterr().out
    assert len(list(csv.DictReader((tmp_path / "s.csv").open()))) == 3
    assert (tmp_path / "s.png").stat().st_size > 5000


def test_a_history_that_is_cut_at_the_end_of_a_line_is_refused(histories):
    folder, paths = histories
    assert read_curves(paths, folder, 3)
    paths[1].write_text("".join(paths[1].read_text().splitlines(keepends=True)[:3]))
    with pytest.raises(UserError, match=r"lr0\.01/optimize\.jsonl: 3 lines, but 3 epochs were run"):
        read_curves(paths, folder, 3)


def test_a_history_at_another_place_is_named(histories):
    folder, paths = histories
    with pytest.raises(UserError, match=r"optimize\.jsonl: not at"):
        read_curves(paths, folder / "sums")


def test_an_unknown_cell_is_refused_before_anything_runs():
    values = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    values["cell_table"] = str(ROOT / values["cell_table"])
    values["sensitivity"] = {"cells": ["moood/tiny-0.2m"], "learning_rates": [0.1], "epochs": 2}
    with pytest.raises(UserError, match=r"sensitivity: 'moood/tiny-0.2m' is not in .* did you mean mood/tiny-0.2m"):
        RunConfig.check(values)
