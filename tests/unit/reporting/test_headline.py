"""The page's first sentence: the optimised prompts against the best rungs without training, and where a rung leads."""

import pytest

from embedgrad.reporting.ladder import NAMED, headline


def row(dataset, over, p, best=50.0, rung="no_prompt"):
    return {
        "dataset": dataset,
        "model": "m",
        "best_rung": rung,
        "best": best,
        "optimised": best + over,
        "over_best": over,
        "p_best_holm": p,
    }


def test_no_rungs_no_sentence():
    assert headline([]) == headline([{"dataset": "a", "model": "m"}], ran=3) == ""


def test_cells_are_counted_by_holms_p_and_sign():
    rows = [row("a", 30.0, 0.001), row("b", -30.0, 0.001), row("c", 5.0, 0.4), row("d", 3.0, 0.9)]
    assert headline(rows, ran=6) == (
        "Against the best rung without training: better in 1 of 4 cells and worse in 1 after Holm's correction, "
        "no significant difference in 2 (2 more without rungs). The rung is level or ahead in b/m (no_prompt 50 %, optimised 20 %)."
    )


def test_a_rung_that_leads_is_named_though_the_difference_is_not_significant():
    text = headline([row("mood", -8.0, 0.38, best=91.0), row("blame", 0.0, 1.0, best=75.0, rung="bare")])
    assert "better in 0 of 2 cells and worse in 0" in text
    assert text.endswith(
        "The rung is level or ahead in mood/m (no_prompt 91 %, optimised 83 %), blame/m (bare 75 %, optimised 75 %)."
    )


@pytest.mark.parametrize("more", [0, 1, 9])
def test_of_many_the_largest_leads_are_named_and_the_others_counted(more):
    rows = [row(f"t{n}", -float(n), 1.0) for n in range(1, NAMED + more + 1)]
    text = headline(rows)
    assert text.count("optimised") == NAMED
    assert f"t{NAMED + more}/m" in text
    assert (f" and {more} more." in text) == (more > 0)


def test_where_every_prompt_leads_no_rung_is_named():
    assert "level or ahead" not in headline([row("a", 30.0, 0.001), row("b", 0.5, 0.9)])
