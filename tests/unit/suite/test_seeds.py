"""The seeds of a run, and of tasks that have their own."""

import pytest

from embedgrad.reporting.results.cells import Seeds, seeds_in
from embedgrad_core.files import UserError


def test_a_task_may_have_seeds_of_its_own(tmp_path):
    seeds = Seeds("0,1, 2;math500=0;medd=3,1")
    assert (seeds.of("imdb"), seeds.of("math500"), seeds.of("medd")) == ([0, 1, 2], [0], [3, 1])
    assert seeds_in(tmp_path, seeds, "medd") == [1, 3]
    assert seeds_in(tmp_path, [2, 0], "medd") == [0, 2]
    for name in ("seed1", "seed0", "seedling", "other"):
        (tmp_path / name).mkdir()
    assert seeds_in(tmp_path, None, "medd") == [0, 1]


@pytest.mark.parametrize("text", ["", "a", "0,,1", "0;math500", "0;math500=", "0;=1", "-1", "0;math500=x", "9" * 30])
def test_seeds_written_otherwise_are_refused(text):
    with pytest.raises(UserError, match="write them like 0,1,2"):
        Seeds(text)
