"""Ask a model with an optimised prompt: inputs from the command line, from a file, or one after another at the keyboard.

embedgrad generate --prompt-file prompt.safetensors "A lovely film."
embedgrad generate --prompt-file prompt.safetensors --file inputs.txt --json > answers.jsonl
embedgrad generate --prompt-file prompt.safetensors            # type an input, read the answer; Ctrl-D ends
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from contracts import UserError, printable
from embedgrad.commands.arguments import add_prompt_arguments, prompt_from

HELP = "answer inputs with an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt and inputs."""
    add_prompt_arguments(parser)
    parser.add_argument("inputs", nargs="*", help="what to answer; without any and without --file: read line by line")
    parser.add_argument("--file", type=Path, help="one input a line")
    parser.add_argument("--both", action="store_true", help="also show what the text prompt answers")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(arguments: argparse.Namespace) -> None:
    """Answer what was given, or ask."""
    inputs = _given(arguments)
    if arguments.json or inputs is not None:
        arguments.quiet = True  # only answers on standard output
    tuned = prompt_from(arguments)

    def answer(texts: list[str]) -> None:
        after = tuned.generate(texts)
        before = tuned.generate(texts, optimized=False) if arguments.both else [None] * len(texts)
        for text, new, old in zip(texts, after, before, strict=True):
            if arguments.json:
                row = {"input": text, "output": new} | ({"text_prompt_output": old} if arguments.both else {})
                # Escapes of JSON's own: what a terminal shows can still be read as JSON.
                _say(json.dumps(row, ensure_ascii=sys.stdout.isatty()))
            elif arguments.both:
                _say(f"text prompt: {old}\noptimised:   {new}")
            else:
                _say(new)

    if inputs is not None:
        answer(inputs)
        return
    for line in _typed():
        try:
            answer([line])
        except UserError as error:  # an input too long, say: told, and the next one may be asked
            print(error, file=sys.stderr)


def _say(answer: str) -> None:
    """An answer as it is, for whoever reads a pipe or a file; on a terminal without what would steer it."""
    print(printable(answer, keep="\n\t") if sys.stdout.isatty() else answer, flush=True)


def _given(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.inputs and arguments.file:
        raise UserError("give inputs or --file, not both.")
    if arguments.file:
        try:
            text = arguments.file.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"{arguments.file}: cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{arguments.file}: not UTF-8 at byte {error.start}; save the file as UTF-8.") from None
        lines = [line for line in text.splitlines() if line.strip()]
        if not lines:
            raise UserError(f"{arguments.file}: no input; write one a line.")
        return lines
    return list(arguments.inputs) or None


def _typed() -> Iterable[str]:
    asks = sys.stdin.isatty()
    while True:
        if asks:
            print("> ", end="", flush=True)
        try:
            line = sys.stdin.readline()
            line.encode()
        except UnicodeError:
            raise UserError("standard input: not UTF-8; convert what is piped in.") from None
        if not line:
            return
        if line.strip():
            yield line.strip()
