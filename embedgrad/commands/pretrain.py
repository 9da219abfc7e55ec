"""Pretrain one of the demo's tiny models on generated text, as an ordinary Hugging Face folder."""

import argparse
import json
from pathlib import Path

from embedgrad.commands.checked import whole
from embedgrad.commands.output import plain_line
from embedgrad_core.files import UserError

HELP = "pretrain a tiny model for the demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Shape, seed and folder."""
    parser.add_argument("--name", required=True, help="name of the model")
    parser.add_argument("--spec", required=True, help="JSON object: seed, layers, width, … (config/demo.yaml)")
    parser.add_argument("--out", required=True, type=Path, help="folder to make")
    parser.add_argument("--threads", type=whole(1), default=1)


def run(arguments: argparse.Namespace) -> None:
    """Pretrain and save."""
    from embedgrad.demo_models import pretrain

    try:
        spec = json.loads(arguments.spec)
    except json.JSONDecodeError as error:
        raise UserError(f"--spec is not JSON ({error}).") from None
    try:
        pretrain(arguments.name, arguments.out, threads=arguments.threads, **spec)
    except TypeError as error:
        raise UserError(f"--spec of {arguments.name}: {error}; config/demo.yaml shows the keys.") from None
    plain_line(f"{arguments.out}: pretrained")
