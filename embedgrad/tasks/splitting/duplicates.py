"""Exact twins and near-duplicates among input texts.

Two inputs are *twins* when their normalised texts are equal, and *near-duplicates* when the Jaccard similarity of their
sets of character shingles is at least ``THRESHOLD``. Both are searched in the whole text, before any input is cut.

Why these numbers (seen on the real data):

* Shingles of 5 characters, similarity 0.5. In causal judgment the 357 pairs above it are one vignette twice with a
  person or a norm changed, 255 of them at 0.7-1.0; between 0.42 and 0.5 lie 30 looser retellings, so the search errs
  towards too few. In MATH-500 the six pairs above 0.5 are one kind of exercise with other numbers, and near 0.4
  problems begin to meet that share only "Express your answer as a common fraction". In IMDB no pair reaches 0.5.
* Chinese utterances take shingles of 2 characters: one character says about as much as an English syllable, and
  shingles of five (of 20 characters an utterance) miss paraphrases. From 0.6 the pairs read as one sentence said twice,
  at 0.5 many share a frame ("怎麼會…真的是讓我…"), at 0.4 nearly all.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy import sparse

SHINGLE = 5  # characters
THRESHOLD = 0.5  # Jaccard similarity
_BLOCK = 256  # rows per step: bounds the memory of the candidate matrix
_ROUNDING = 1e-9


def normalised(text: str) -> str:
    """The text as twins are compared: Unicode NFKC, case folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def twin_groups(texts: Sequence[str]) -> list[list[int]]:
    """Positions of inputs with one normalised text, each group ascending, only groups of two or more."""
    places = defaultdict(list)
    for place, text in enumerate(texts):
        places[normalised(text)].append(place)
    return [group for group in places.values() if len(group) > 1]


def near_pairs(
    texts: Sequence[str], shingle: int = SHINGLE, threshold: float = THRESHOLD
) -> list[tuple[int, int, float]]:
    """All pairs (i, j, similarity) with i < j and similarity >= ``threshold``; twins are among them with 1.0.

    Exact, not sampled: a pair at or above the threshold must share one of the rarest shingles of both (prefix
    filtering, Bayardo, Ma and Srikant, WWW 2007, and the bound on what is left of Xiao et al., WWW 2008), so only such
    pairs are compared in full.
    """
    if not texts:
        return []
    sets = _shingle_sets([normalised(text) for text in texts], shingle)
    size = np.diff(sets.indptr)
    kept = size - np.ceil(threshold * size - _ROUNDING).astype(np.int64) + 1
    place = np.arange(sets.nnz) - np.repeat(sets.indptr[:-1].astype(np.int64), size)
    inside = place < np.repeat(kept, size)
    ends = np.concatenate([[0], np.cumsum(inside)])[sets.indptr]
    rare = sparse.csr_matrix((sets.data[inside], sets.indices[inside], ends), sets.shape)
    last = rare.indices[ends[1:] - 1]  # the commonest shingle that each prefix holds
    transposed = rare.T.tocsr()
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(size), _BLOCK):
        shared = (rare[start : start + _BLOCK] @ transposed).tocoo()
        i, j = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
        # what the prefixes do not show is at most the rest of the set whose prefix ends first
        rest = np.where(last[i] <= last[j], size[i] - kept[i], size[j] - kept[j])
        needed = threshold / (1 + threshold) * (size[i] + size[j]) - _ROUNDING
        hopeful = (i < j) & (np.minimum(shared.data + rest, np.minimum(size[i], size[j])) >= needed)
        i, j = i[hopeful], j[hopeful]
        for part in range(0, len(i), 4096):
            a, b = i[part : part + 4096], j[part : part + 4096]
            both = np.asarray(sets[a].multiply(sets[b]).sum(axis=1)).ravel()
            similarity = both / (size[a] + size[b] - both)
            near = similarity >= threshold - _ROUNDING
            found += zip(a[near].tolist(), b[near].tolist(), similarity[near].tolist(), strict=True)
    return sorted(found)


def clusters(pairs: Sequence[tuple[int, int, float]], n: int) -> list[list[int]]:
    """Connected components of ``n`` inputs under ``pairs``, each ascending, in order of their first member."""
    rows, columns = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    graph = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    _, labels = sparse.csgraph.connected_components(graph, directed=False)
    members = defaultdict(list)
    for place, label in enumerate(labels.tolist()):
        members[label].append(place)
    return sorted(members.values())


def _shingle_sets(texts: Sequence[str], shingle: int) -> sparse.csr_matrix:
    """Texts x shingles, 1 where present; columns run from the rarest shingle to the commonest, sorted in each row."""
    hashes = []
    for text in texts:
        # a text shorter than one shingle is its own only shingle
        letters = np.frombuffer(text.ljust(shingle).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
            np.uint64
        )
        windows = np.lib.stride_tricks.sliding_window_view(letters, shingle)
        powers = np.uint64(0x9E3779B97F4A7C15) ** np.arange(shingle, dtype=np.uint64)
        hashes.append(np.unique((windows * powers).sum(axis=1, dtype=np.uint64)))  # wraps modulo 2**64 by intent
    ends = np.concatenate([[0], np.cumsum([len(row) for row in hashes])])
    known, column, count = np.unique(np.concatenate(hashes), return_inverse=True, return_counts=True)
    rank = np.empty(len(known), dtype=np.int64)
    rank[np.argsort(count, kind="stable")] = np.arange(len(known))
    sets = sparse.csr_matrix((np.ones(len(column), dtype=np.int32), rank[column], ends), (len(texts), len(known)))
    sets.sort_indices()
    return sets
