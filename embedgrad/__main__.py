"""``python -m embedgrad`` is the ``embedgrad`` command."""

import sys

from embedgrad.cli import entry

sys.exit(entry())
