"""Whether a file's two embedding matrices are one matrix written at two precisions.

A model whose input and output embeddings are one matrix is often quantised to a file with both ``token_embd`` and ``output``, the
second finer. Such a file says nowhere that they were one; the numbers do. Two roundings of one matrix differ by about the
rounding noise of the coarser; matrices that were trained apart differ several times as much.
"""

import re
from collections.abc import Iterator

import numpy as np

from embedgrad_core.from_gguf.header import Header

INPUT, OUTPUT = "token_embd.weight", "output.weight"
_FLOATS = {"F64": 52, "F32": 23, "F16": 10, "BF16": 7}  # bits of the fraction
_LEVELS = re.compile(r"(?:Q|FP)(\d+)")  # Q4_K, IQ2_XS, TQ1_0, MXFP4
_BLOCK = 32  # weights over which a scale is shared, at least; the rows of every type here are multiples of it
_CHUNK = 2**22  # weights that are compared at once
# The measured difference over the expected one. Roundings of one matrix: near 1, with room for quantisers that do not round to
# nearest (K and IQ types, importance matrices). Unrelated matrices: 3.5 for two bits, and about double with each bit more.
MOST_RATIO = 2.0


def finer(header: Header) -> str:
    """The name of the embedding matrix with more bits, the output's where both have as many; the input's where it is alone."""
    return max((name for name in (OUTPUT, INPUT) if name in header.tensors), key=lambda name: _size(header, name))


def noise_ratio(header: Header) -> float:
    """Root mean square difference of the two matrices, over what rounding both to their types is expected to make.

    A type of b bits puts 2^b levels between a block's least and largest weight; rounding to them errs by a step / √12. A float
    type errs by its last bit.
    """
    squares = expected = 0.0
    for one, other in zip(_rows(header, INPUT), _rows(header, OUTPUT), strict=True):
        squares += float(np.square(one - other, dtype=np.float64).sum())
        expected += sum(_noise(other, header.tensors[name].kind, _bits(header, name)) for name in (INPUT, OUTPUT))
    if squares == 0:
        return 0.0
    return float(np.sqrt(squares / expected)) if expected > 0 and np.isfinite(squares) else float("inf")


def are_one(header: Header) -> bool:
    """Whether input and output embeddings are to be one matrix: there is no second, or it is the first but for rounding."""
    if OUTPUT not in header.tensors:
        return True
    # Under two bits the steps are as wide as the weights: nothing could be seen.
    return min(_bits(header, INPUT), _bits(header, OUTPUT)) >= 2 and noise_ratio(header) <= MOST_RATIO


def _size(header: Header, name: str) -> float:
    """Bits a weight, scales included."""
    tensor = header.tensors[name]
    return 8 * tensor.size / float(np.prod(tensor.shape, dtype=np.float64))


def _bits(header: Header, name: str) -> int:
    """Bits of a weight's level, scales left out, as the type's name has them; 0 where it has none."""
    kind = header.tensors[name].kind
    named = _LEVELS.search(kind)
    return _FLOATS.get(kind) or (int(named[1]) if named else 0)


def _noise(rows: np.ndarray, kind: str, bits: int) -> float:
    """The sum of the squared errors expected from rounding these weights."""
    if kind in _FLOATS:
        return float(np.square(rows * 2.0 ** -_FLOATS[kind], dtype=np.float64).sum()) / 12
    blocks = rows.reshape(-1, _BLOCK)
    steps = (blocks.max(axis=1) - blocks.min(axis=1)).astype(np.float64) / (2**bits - 1)
    return float(np.square(steps).sum()) * _BLOCK / 12


def _rows(header: Header, name: str) -> Iterator[np.ndarray]:
    """The matrix a piece at a time, dequantised, (rows, d) in float32."""
    from gguf import GGMLQuantizationType, dequantize

    tensor = header.tensors[name]
    count, width = tensor.shape
    row_bytes, step = tensor.size // count, max(1, _CHUNK // width)
    with header.path.open("rb") as file:
        file.seek(tensor.start)
        for first in range(0, count, step):
            here = min(step, count - first)
            data = np.frombuffer(file.read(here * row_bytes), np.uint8).reshape(here, row_bytes)
            yield dequantize(data, GGMLQuantizationType[tensor.kind])
