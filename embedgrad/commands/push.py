"""Publish an optimised prompt on the hub: the prompt file, a model card with its results, the metrics, and nothing else.

The token is that of the hub's client: HF_TOKEN, or `hf auth login`. The command prints the commit, by which it can be pulled.

    embedgrad push --prompt-file prompt.safetensors --metrics metrics.json --licence mit --to me/imdb-prompt
"""

import argparse
from dataclasses import replace
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments
from embedgrad.commands.output import aside, silent, tell
from embedgrad.commands.prompts import model_of
from embedgrad_core.files import UserError, read_json, sha256_of_file

HELP = "a prompt to the hub, with a card that shows its results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, repository, what the card says."""
    parser.add_argument("--prompt-file", required=True, type=Path, help="an optimised prompt")
    parser.add_argument(
        "--to", required=True, metavar="OWNER/NAME", help="model repository on the hub; made if it is not there"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    add_model_arguments(parser, required=False)
    parser.add_argument(
        "--base-model", metavar="OWNER/NAME", help="the model's name on the hub, if it was loaded from a folder"
    )
    parser.add_argument(
        "--metrics", type=Path, help="a cell's metrics.json, or what `embedgrad evaluate --json` printed"
    )
    parser.add_argument("--licence", help="for the card, e.g. apache-2.0")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")


def run(arguments: argparse.Namespace) -> None:
    """Check the prompt against its model, write the card, upload."""
    from embedgrad.hub import CARD, METRICS, PROMPT, check_repository, push

    check_repository(arguments.to)
    metrics = read_json(arguments.metrics) if arguments.metrics else None
    if metrics is not None and not isinstance(metrics, dict):
        raise UserError(f"{arguments.metrics}: expected a JSON object, found {type(metrics).__name__}.")
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.export.card import card, check_licence, snippet
    from embedgrad_core.export.metrics import card_numbers

    check_licence(arguments.licence)
    arguments.log = silent
    frozen = model_of(arguments, arguments.prompt_file)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    sha256 = sha256_of_file(arguments.prompt_file)
    numbers = card_numbers(metrics, frozen, prompt, sha256, str(arguments.metrics)) if metrics is not None else None
    if arguments.base_model:
        check_repository(arguments.base_model)
        frozen = replace(frozen, name=arguments.base_model)
    elif Path(frozen.name).is_dir():
        raise UserError(f"the model was loaded from folder {frozen.name}; say what it is on the hub (--base-model).")
    if Path((prompt.header.get("model") or {}).get("name") or "").is_absolute():
        aside(f"warning: the prompt file says which folder its model lay in: {prompt.header['model']['name']}")
    code = snippet("prompt", frozen, arguments.to, file=PROMPT)
    text = card("prompt", frozen, prompt, code, metrics=numbers, licence=arguments.licence)
    files = {PROMPT: arguments.prompt_file.read_bytes(), CARD: text.encode()}
    if arguments.metrics:
        files[METRICS] = arguments.metrics.read_bytes()
    commit = push(arguments.to, files, private=arguments.private, message=f"Prompt of {prompt.slot.k} vectors")
    row = {"repository": arguments.to, "commit": commit, "sha256": sha256, "files": sorted(files)}
    tell(
        arguments,
        row,
        f"{arguments.to}: {', '.join(sorted(files))}; pull it with --prompt-revision {commit} --prompt-sha256 {sha256}",
    )
