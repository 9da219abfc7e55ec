"""``python -m embedgrad_core.lm_eval`` is lm-eval's own command with the model ``embedgrad`` known to it."""

import sys

from embedgrad_core.lm_eval.model import main

sys.exit(main())
