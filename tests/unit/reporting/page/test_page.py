"""Parts of the report page, and results that nobody's run has written; whole pages are in tests/system/reporting."""

import pytest
from forged import QUICK, of_one_cell, told_of

from embedgrad.reporting.page.examples import marked


@pytest.fixture(scope="module")
def one_cell(tmp_path_factory):
    return of_one_cell(tmp_path_factory.mktemp("one"))


def test_differences_are_marked_word_by_word():
    left, right = marked("the answer is 7", "the answer is 42")
    assert [piece for piece, changed in left if changed] == ["7"]
    assert [piece for piece, changed in right if changed] == ["42"]
    assert "".join(piece for piece, _ in right) == "the answer is 42"
    assert marked("", "a") == ([], [("a", True)])


@pytest.mark.parametrize(("name", "value"), QUICK, ids=str)
def test_a_forged_result_is_one_error_that_names_it_or_is_told_on_the_page(one_cell, name, value, tmp_path, capsys):
    told_of(one_cell, name, value, tmp_path, capsys)
