from collections import Counter
from pathlib import Path

import pytest
from reporting_samples import demo_cells, write_cells

from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import UserError

PAPER = Path(__file__).resolve().parents[3] / "config" / "cells.tsv"
GOOD = ["imdb", "imdb", "", "tiny", "10.00", "20.00", "+10.00", "0.01", "10"]


def test_paper_table_has_its_26_cells():
    cells = read_cells(PAPER)
    assert len(cells) == 26
    levels = {f"math500-L{level}": 2 for level in range(1, 6)}
    assert Counter(cell.dataset for cell in cells) == {
        "math500": 2,
        **levels,
        "imdb": 5,
        "medd": 5,
        "causal_judgment": 4,
    }
    assert {cell.task for cell in cells} == {"math500", "imdb", "medd", "causal_judgment"}
    assert len({cell.model for cell in cells}) == 7


def test_paper_table_keeps_the_misprints_and_nothing_else_is_off():
    # Sums of columns guard the typing of 78 numbers; the two rows are where the printed Δ is not after - before.
    cells = read_cells(PAPER)
    assert sum(round(100 * float(cell.before)) for cell in cells) == 129130
    assert sum(round(100 * float(cell.after)) for cell in cells) == 187496
    assert sum(round(100 * float(cell.delta)) for cell in cells) == 58472
    wrong = {
        cell.name: cell.delta
        for cell in cells
        if abs(float(cell.after) - float(cell.before) - float(cell.delta)) > 0.001
    }
    assert wrong == {"causal_judgment/qwen2.5-0.5b-instruct": "+10.58", "causal_judgment/qwen2.5-3b-instruct": "+9.42"}


def test_learning_rate_changes_at_7b():
    for cell in read_cells(PAPER):
        billions = float(next(part[:-1] for part in cell.model.split("-") if part[0].isdigit() and part.endswith("b")))
        assert cell.learning_rate == (0.01 if billions < 7 else 0.001)
        assert cell.epochs == 10


def test_a_table_that_replicates_nothing_has_no_paper(tmp_path):
    cells = read_cells(demo_cells(tmp_path / "cells.tsv"))
    assert len(cells) == 12
    assert all(cell.paper is None for cell in cells)
    assert cells[2].level == "1"
    assert cells[2].name == "arithmetic-L1/tiny-0.2m"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({0: "imdb-L1"}, "dataset is 'imdb-L1'"),
        ({1: "../up", 0: "../up"}, "task is '../up'"),
        ({2: "x"}, "level is 'x'"),
        ({3: "Tiny Model"}, "model is 'Tiny Model'"),
        ({3: ""}, "model is ''"),
        ({4: "110.00"}, "before is '110.00'"),
        ({5: "nan"}, "after is 'nan'"),
        ({6: "10.00"}, "delta is '10.00'"),
        ({6: "+ 2.11"}, r"delta is '\+ 2.11'"),
        ({4: ""}, "all given or all empty"),
        ({7: "0"}, "learning_rate is '0'"),
        ({7: "inf"}, "learning_rate is 'inf'"),
        ({8: "ten"}, "epochs is 'ten'"),
        ({8: "-1"}, "epochs is '-1'"),
    ],
)
def test_a_bad_row_is_named(tmp_path, change, told):
    row = [change.get(place, field) for place, field in enumerate(GOOD)]
    path = write_cells(tmp_path / "cells.tsv", [[*GOOD[:3], "other", *GOOD[4:]], row])
    with pytest.raises(UserError, match=f"cells.tsv:3: .*{told}"):
        read_cells(path)


def test_twice_the_same_cell_wrong_header_short_line_and_no_file(tmp_path):
    with pytest.raises(UserError, match=r"cells.tsv:3: imdb/tiny stands at line 2 too"):
        read_cells(write_cells(tmp_path / "cells.tsv", [GOOD, GOOD]))
    with pytest.raises(UserError, match=r"cells.tsv:2: 8 fields"):
        read_cells(write_cells(tmp_path / "cells.tsv", [GOOD[:-1]]))
    with pytest.raises(UserError, match="no cells"):
        read_cells(write_cells(tmp_path / "cells.tsv", []))
    (tmp_path / "other.tsv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"other\.tsv:1: the header"):
        read_cells(tmp_path / "other.tsv")
    with pytest.raises(UserError, match=r"none\.tsv: no such file"):
        read_cells(tmp_path / "none.tsv")
