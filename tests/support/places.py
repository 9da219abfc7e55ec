"""Where things lie: the checkout, and the Snakemake of this interpreter's environment."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
