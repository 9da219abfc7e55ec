"""Fetch an optimised prompt from the hub, at a commit, checked: safetensors alone, and with --model against that very model.

embedgrad pull me/imdb-prompt --prompt-revision 0123456789abcdef0123456789abcdef01234567 --out prompt.safetensors
embedgrad pull me/imdb-prompt --model Qwen/Qwen2.5-0.5B-Instruct --out prompt.safetensors
"""

import argparse

from embedgrad.commands.arguments import add_model_arguments, load_from
from embedgrad.commands.checked import output_file
from embedgrad.commands.output import silent, tell
from embedgrad_core.files import sha256_of_file, write_whole

HELP = "a prompt from the hub, at a commit and checked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Repository, commit, what it must be."""
    parser.add_argument("repository", metavar="OWNER/NAME", help="model repository on the hub")
    parser.add_argument("--out", required=True, type=output_file, help="the prompt file")
    parser.add_argument("--file", default="prompt.safetensors", help="its name in the repository")
    parser.add_argument(
        "--prompt-revision", metavar="COMMIT", default="main", help="of the prompt's repository, best a commit"
    )
    parser.add_argument("--prompt-sha256", metavar="HASH", help="refuse a prompt file with another hash")
    add_model_arguments(parser, required=False)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")


def run(arguments: argparse.Namespace) -> None:
    """Download, check, copy."""
    from embedgrad.hub import check_repository, pull

    check_repository(arguments.repository)
    path, commit = pull(arguments.repository, arguments.prompt_revision, arguments.file, arguments.prompt_sha256)
    from embedgrad_core import PromptEmbedding, read_prompt_file  # imports torch: errors of the hub come first

    header = read_prompt_file(path)[1]
    if arguments.model:
        from embedgrad_core.prompt_header import recorded_model

        arguments.log = silent
        arguments.model, arguments.revision = recorded_model(header, arguments.model, arguments.revision)
        PromptEmbedding.load(path, load_from(arguments))
    with write_whole(arguments.out) as temporary:
        temporary.write_bytes(path.read_bytes())
    made_for = (header.get("model") or {}).get("name")
    sha256 = sha256_of_file(arguments.out)
    row = {"out": str(arguments.out), "commit": commit, "sha256": sha256, "model": made_for, "text": header["text"]}
    tell(
        arguments,
        row,
        f"{arguments.out}: commit {commit}, sha256 {sha256}, made for {made_for}; text {header['text']!r}",
    )
