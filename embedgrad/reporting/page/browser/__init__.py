"""The error browser: every answer of every cell, before and after; Python packs them, the scripts unpack, filter and compare."""
