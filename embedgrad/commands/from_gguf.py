"""Turn a GGUF file, as llama.cpp and Ollama use, into a model folder that every other command loads.

Weights are dequantised to float16 and stay as coarse as the file has them; what comes out is not the original checkpoint. The
folder's manifest.json names the file, and so does every result. Architectures: llama and qwen2. An extra reads such files:
pip install -e '.[gguf]', or make gguf.

    embedgrad from-gguf SmolLM2-135M-Instruct.Q4_1.gguf --out SmolLM2-135M-Instruct
    embedgrad optimize --model ./SmolLM2-135M-Instruct --prompt "Is it good?" --data reviews.csv --out prompt.safetensors
"""

import argparse
from pathlib import Path

from embedgrad.commands.checked import check_writable
from embedgrad.commands.output import tell
from embedgrad_core.files import check_new_folder

HELP = "a GGUF file (llama.cpp, Ollama) as a model folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """File and folder."""
    parser.add_argument("file", type=Path, help="a GGUF file, under any name")
    parser.add_argument("--out", required=True, type=Path, help="a new folder")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")


def run(arguments: argparse.Namespace) -> None:
    """Convert."""
    check_new_folder(arguments.out)
    check_writable(arguments.out / "config.json")
    from transformers.utils import logging

    from embedgrad_core.from_gguf.convert import convert_gguf

    logging.disable_progress_bar()
    done = convert_gguf(arguments.file, arguments.out)
    tied = "one embedding matrix" if done["tied"] else "separate output embeddings"
    model = f"{done['architecture']}, {done['parameters']:,} parameters, {tied}"
    text = f"{arguments.out}: {model}, dequantised from {done['quantisation']} to float16"
    tell(arguments, {"out": str(arguments.out), **done}, text)
