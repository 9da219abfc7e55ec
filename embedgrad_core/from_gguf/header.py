"""The head of a GGUF file: metadata and table of tensors, every length checked against the file before it is believed.

The package ``gguf``, which reads the weights later, walks past the end of a file whose metadata claims a longer array than there
are bytes, until memory runs out. Whatever passes here it reads within bounds. Layout of the file:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from embedgrad_core.files import UserError

VERSIONS = (2, 3)
ALIGNMENT = 32  # where the file names none
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_DIMENSIONS = 4  # GGML_MAX_DIMS


@dataclass(frozen=True)
class Tensor:
    """One tensor as the table lists it.

    Attributes:
        shape: as torch orders it, rows first.
        kind: its ggml type, e.g. ``Q4_1``.
        start: first byte in the file.
        size: bytes in the file.
    """

    shape: tuple[int, ...]
    kind: str
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """Metadata by key, lists as lists, and tensors by name."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]


class _Cut(Exception):
    """A length that leaves the file."""


class _Walk:
    """A place in the bytes, moved by reading."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.place = data, 0

    def need(self, size: int) -> None:
        if size > len(self.data) - self.place:
            raise _Cut

    def numbers(self, code: str, count: int = 1) -> tuple:
        size = struct.calcsize(f"<{code}") * count
        self.need(size)
        found = struct.unpack_from(f"<{count}{code}", self.data, self.place)
        self.place += size
        return found

    def number(self, code: str) -> Any:
        return self.numbers(code)[0]

    def text(self) -> str:
        size = self.number("Q")
        self.need(size)
        found = self.data[self.place : self.place + size].decode("utf-8")
        self.place += size
        return found

    def value(self) -> Any:
        kind = self.number("I")
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner == _STRING:
                self.need(8 * count)  # each brings a length at least
                return [self.text() for _ in range(count)]
            return list(self.numbers(_scalar(inner), count))
        return self.number(_scalar(kind))


def _scalar(kind: int) -> str:
    if kind not in _SCALARS:
        raise ValueError(f"a metadata value of type {kind}")
    return _SCALARS[kind]


def read_header(path: str | Path) -> Header:
    """Read the head of a GGUF file; needs the package ``gguf`` for its table of types.

    Raises:
        UserError: no such file; not GGUF, another version or byte order, cut short, or a head that contradicts itself.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise UserError(f"{path}: not a GGUF file (it does not begin with GGUF); give the .gguf file itself.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _read(path, _Walk(data))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except _Cut:
        raise UserError(f"{path}: the file is cut short, or its lengths are wrong; take a whole copy.") from None
    # UnicodeDecodeError is a ValueError too.
    except ValueError as error:
        raise UserError(f"{path}: a damaged GGUF file ({error}); take a whole copy.") from None


def _read(path: Path, walk: _Walk) -> Header:
    walk.place = 4
    version = walk.number("I")
    if version not in VERSIONS:
        raise UserError(
            f"{path}: GGUF version {version} is not one that is read here ({' and '.join(map(str, VERSIONS))}, little-endian); "
            "convert the model again with a present llama.cpp."
        )
    tensor_count, pair_count = walk.numbers("Q", 2)
    metadata: dict[str, Any] = {}
    walk.need(12 * pair_count)
    for _ in range(pair_count):
        key = walk.text()
        if key in metadata:
            raise ValueError(f"key {key!r} twice")
        metadata[key] = walk.value()
    walk.need(24 * tensor_count)
    table = [_entry(walk) for _ in range(tensor_count)]
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise ValueError(f"alignment {alignment!r} is not a power of two")
    start = -(-walk.place // alignment) * alignment
    return Header(path, metadata, _tensors(table, start, len(walk.data)))


def _entry(walk: _Walk) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = walk.text(), walk.number("I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r} of {dimensions} dimensions")
    shape = tuple(reversed(walk.numbers("Q", dimensions)))  # ggml lists the fastest first
    kind, offset = walk.number("I"), walk.number("Q")
    return name, shape, kind, offset


def _tensors(table: list[tuple[str, tuple[int, ...], int, int]], start: int, end: int) -> dict[str, Tensor]:
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    found: dict[str, Tensor] = {}
    for name, shape, number, offset in table:
        if name in found:
            raise ValueError(f"tensor {name!r} twice")
        kind = GGMLQuantizationType(number)  # a ValueError that names the number, if there is none
        block, size = GGML_QUANT_SIZES[kind]
        if not shape or min(shape) < 1 or shape[-1] % block:
            raise ValueError(f"tensor {name!r} of shape {list(shape)} in blocks of {block}")
        found[name] = Tensor(shape, kind.name, start + offset, prod(shape) // block * size)
        if found[name].start + found[name].size > end:
            raise _Cut
    # Tensors that lie over each other would make a small file a large model.
    if sum(tensor.size for tensor in found.values()) > end:
        raise ValueError("tensors that overlap")
    return found
