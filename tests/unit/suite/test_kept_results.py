"""Results that a search keeps: replayed in their order, to the last bit, and never another search's."""

import pytest

from embedgrad.files.kept import KeptResults
from embedgrad_core.files import UserError

RESULTS = [("loss", [0.1 + 0.2, 1e-300]), ("reply", "Sag’s\n"), ("right", [True, False])]


def asked(path, decides="seed 0"):
    """All results, and how many had to be computed."""
    kept, computed = KeptResults(path, decides), []

    def compute(value):
        computed.append(value)
        return value

    found = [kept.get(what, lambda value=value: compute(value)) for what, value in RESULTS]
    return found, len(computed), kept.replayed


def test_what_is_kept_is_not_computed_again(tmp_path):
    path = tmp_path / "of" / "search.state"
    wanted = [value for _, value in RESULTS]
    assert asked(path) == (wanted, 3, 0)
    assert asked(path) == (wanted, 0, 3)
    assert asked(None) == (wanted, 3, 0)


def test_what_was_cut_short_or_changed_is_computed_again(tmp_path):
    path = tmp_path / "search.state"
    wanted = [value for _, value in RESULTS]
    asked(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert asked(path) == (wanted, 1, 2)
    assert asked(path) == (wanted, 0, 3), "the new line does not go on from the cut one"
    path.write_bytes(whole.replace(b"Sag", b"Sog"))
    assert asked(path) == (wanted, 2, 1), "nor is what follows a changed line believed"
    assert asked(path) == (wanted, 0, 3)


def test_a_state_of_another_search_is_refused(tmp_path):
    path = tmp_path / "search.state"
    asked(path)
    with pytest.raises(UserError, match=r"search.state: this state belongs to another model, data or setting; delete"):
        asked(path, "seed 1")
    with pytest.raises(UserError, match="result 0 is of 'loss', not 'look'"):
        KeptResults(path, "seed 0").get("look", lambda: 1)
