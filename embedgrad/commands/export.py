"""Write an optimised prompt in a format that other tools read, with a model card that says how to load it.

peft: a prompt-tuning adapter (bare layout). merged: an ordinary checkpoint, the prompt as added tokens. vllm: prompt embeddings.

    embedgrad export --prompt-file prompt.safetensors --to peft --out my-adapter
    embedgrad export --prompt-file prompt.safetensors --to merged --metrics metrics.json --licence apache-2.0 --out my-model
"""

import argparse
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments
from embedgrad.commands.checked import check_writable
from embedgrad.commands.output import silent, tell
from embedgrad.commands.prompts import model_of
from embedgrad_core.files import UserError, check_new_folder, read_json, sha256_of_file

HELP = "PEFT adapter, merged checkpoint or vLLM prompt embeddings, with a model card"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt file, format, folder, what the card says."""
    parser.add_argument("--prompt-file", required=True, type=Path, help="an optimised prompt")
    add_model_arguments(parser, required=False)
    parser.add_argument("--to", required=True, choices=["peft", "merged", "vllm"])
    parser.add_argument("--out", required=True, type=Path, help="a new folder")
    parser.add_argument(
        "--metrics", type=Path, help="a cell's metrics.json, or what `embedgrad evaluate --json` printed"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")
    parser.add_argument("--licence", help="for the card, e.g. apache-2.0; default: the base model's on the hub")


def run(arguments: argparse.Namespace) -> None:
    """Export, then write the card."""
    check_new_folder(arguments.out)  # before the model is loaded
    check_writable(arguments.out / "README.md")
    metrics = read_json(arguments.metrics) if arguments.metrics else None
    if metrics is not None and not isinstance(metrics, dict):
        raise UserError(f"{arguments.metrics}: expected a JSON object, found {type(metrics).__name__}.")
    from embedgrad_core import PromptEmbedding
    from embedgrad_core.export import export

    arguments.log = silent
    frozen = model_of(arguments, arguments.prompt_file)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    licence = arguments.licence if arguments.licence is not None else _licence(arguments.model)
    about = {"metrics_name": str(arguments.metrics), "prompt_sha256": sha256_of_file(arguments.prompt_file)}
    export(arguments.to, frozen, prompt, arguments.out, metrics=metrics, licence=licence, **about)
    row = {"out": str(arguments.out), "to": arguments.to, "vectors": prompt.slot.k, "licence": licence}
    text = f"{arguments.out}: {prompt.slot.k} vectors as {arguments.to}; README.md says how to load it"
    tell(arguments, row, text)


def _licence(model: str) -> str | None:
    """The licence that the hub names, if it can be asked; the card says so where it is unknown."""
    if Path(model).is_dir():
        return None
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError

    try:
        data = HfApi().model_info(model, timeout=10).card_data
    except (OSError, HTTPError):
        return None
    return getattr(data, "license", None)
