"""The files of a run: the rows that its steps hand on, and what results and prompt files say of themselves."""

from embedgrad.files.rows import (
    DECODED_KEYS,
    FAILURES,
    LOOP_STOPS,
    TABLES,
    answers_sha256,
    answers_to,
    read_decoded,
    read_items,
)
