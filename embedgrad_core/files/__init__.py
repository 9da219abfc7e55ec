"""The file contracts of the suite: what is written, how it is read back, and the one error a user sees.

This package is the leaf of the house: every other package may import it, it imports none of them.
"""

from embedgrad_core.files.atomic import (
    CHECK,
    TEMPORARY,
    checksum,
    parse_json,
    read_json,
    read_jsonl,
    sha256_of_bytes,
    sha256_of_file,
    write_json,
    write_jsonl,
    write_whole,
)
from embedgrad_core.files.blocks import in_blocks, in_order, shard
from embedgrad_core.files.errors import UserError
from embedgrad_core.files.folders import check_new_folder, whole_folder
from embedgrad_core.files.hub_cache import check_snapshot
from embedgrad_core.files.json_shape import ANY, ANY_LIST, COUNT, misfit
from embedgrad_core.files.model_folder import (
    MANIFEST,
    folder_fingerprint,
    folder_hashes,
    missing_files,
    other_than,
    shards_of,
)
from embedgrad_core.files.rows import (
    DECODED_KEYS,
    FAILURES,
    ITEM_KEYS,
    Item,
    answers_sha256,
    is_number,
    is_whole_text,
    read_decoded,
    read_items,
)
from embedgrad_core.files.text import fenced, markdown_escape, printable, sheet_cell

__all__ = [
    "ANY",
    "ANY_LIST",
    "CHECK",
    "COUNT",
    "DECODED_KEYS",
    "FAILURES",
    "ITEM_KEYS",
    "MANIFEST",
    "TEMPORARY",
    "Item",
    "UserError",
    "answers_sha256",
    "check_new_folder",
    "check_snapshot",
    "checksum",
    "fenced",
    "folder_fingerprint",
    "folder_hashes",
    "in_blocks",
    "in_order",
    "is_number",
    "is_whole_text",
    "markdown_escape",
    "misfit",
    "missing_files",
    "other_than",
    "parse_json",
    "printable",
    "read_decoded",
    "read_items",
    "read_json",
    "read_jsonl",
    "sha256_of_bytes",
    "sha256_of_file",
    "shard",
    "shards_of",
    "sheet_cell",
    "whole_folder",
    "write_json",
    "write_jsonl",
    "write_whole",
]
