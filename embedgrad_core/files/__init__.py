"""Files whole or not at all, model folders, items, and the one error a user sees.

The leaf of the import graph: every other part may import it, it imports none of them, and it needs no torch.
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
from embedgrad_core.files.errors import UserError, reason_of
from embedgrad_core.files.folders import check_new_folder, whole_folder
from embedgrad_core.files.hub_cache import check_snapshot
from embedgrad_core.files.item import ITEM_KEYS, Item, is_number, is_whole_text
from embedgrad_core.files.json_shape import ANY, ANY_LIST, COUNT, misfit
from embedgrad_core.files.model_folder import (
    MANIFEST,
    folder_fingerprint,
    folder_hashes,
    missing_files,
    other_than,
    shards_of,
)
from embedgrad_core.files.steps import LEVELS_PER_BIT, pack_steps, unpack_steps
from embedgrad_core.files.text import fenced, markdown_escape, printable, sheet_cell
