"""Twins and near-duplicates against a plain reading of the definitions."""

import unicodedata

import pytest
from budget import times
from hypothesis import given, settings
from hypothesis import strategies as st

from embedgrad.tasks.splitting.duplicates import clusters, near_pairs, normalised, twin_groups


def plain_pairs(texts, shingle, threshold):
    """Jaccard similarity by the book: sets of substrings, every pair."""
    clean = [" ".join(unicodedata.normalize("NFKC", text).casefold().split()).ljust(shingle) for text in texts]
    sets = [{text[i : i + shingle] for i in range(len(text) - shingle + 1)} for text in clean]
    found = []
    for i, one in enumerate(sets):
        for j in range(i + 1, len(sets)):
            similarity = len(one & sets[j]) / len(one | sets[j])
            if similarity >= threshold:
                found.append((i, j, pytest.approx(similarity)))
    return found


# few letters and many repeats, so that overlaps at every degree occur
TEXTS = st.lists(st.text("ab cé你", max_size=14) | st.text(max_size=6), max_size=12)


@settings(deadline=None, max_examples=times(300))
@given(TEXTS, st.integers(1, 5), st.sampled_from([0.1, 0.3, 0.5, 2 / 3, 0.8, 1.0]))
def test_near_pairs_are_all_and_only_the_pairs_of_the_definition(texts, shingle, threshold):
    assert near_pairs(texts, shingle, threshold) == plain_pairs(texts, shingle, threshold)


def test_near_pairs_of_long_texts_match_the_definition_over_several_blocks():
    sentence = "the cat sat on a mat and saw one more red bird fly over some old grey roof"
    words = sentence.split()
    texts = [" ".join(words[(i * k) % 17] for k in range(1, 25)) + f" {i // 3}" for i in range(400)]
    found = near_pairs(texts, 5, 0.5)
    assert found == plain_pairs(texts, 5, 0.5)
    assert len(found) > 500


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("他做了什麼事？", "他做了什麼事?", True),  # full-width sign
        ("Yes  it\nis ", "yes it is", True),
        ("Straße", "STRASSE", True),
        ("Did Ann do it?", "Did Ben do it?", False),
        ("<br />a", "a", False),
    ],
)
def test_twins(one, other, same):
    assert (normalised(one) == normalised(other)) is same
    assert twin_groups([one, "something else", other]) == ([[0, 2]] if same else [])


def test_clusters_join_chains_and_keep_single_items():
    assert clusters([(0, 2, 0.6), (2, 5, 0.7), (3, 4, 1.0)], 7) == [[0, 2, 5], [1], [3, 4], [6]]
    assert clusters([], 3) == [[0], [1], [2]]
