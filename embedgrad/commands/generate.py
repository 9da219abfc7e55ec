"""Ask a model with an optimised prompt: inputs from the command line, from a file, or one after another at the keyboard.

embedgrad generate --prompt-file prompt.safetensors "A lovely film."
embedgrad generate --prompt-file prompt.safetensors --file inputs.txt --json > answers.jsonl
embedgrad generate --prompt-file prompt.safetensors            # type an input, read the answer; Ctrl-D ends
"""

import argparse
import json
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from embedgrad.commands.output import aside, silent
from embedgrad.commands.prompts import add_prompt_arguments, prompt_from
from embedgrad_core.files import UserError, printable

HELP = "answer inputs with an optimised prompt"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompt and inputs."""
    add_prompt_arguments(parser)
    parser.add_argument("inputs", nargs="*", help="what to answer; without any and without --file: read line by line")
    parser.add_argument("--file", type=Path, help="one input a line")
    parser.add_argument("--both", action="store_true", help="also show what the text prompt answers")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")


def run(arguments: argparse.Namespace) -> None:
    """Answer what was given, or ask."""
    inputs = _given(arguments)
    # Only answers on standard output; where there may be hours of questions, lines about the model go to standard error.
    arguments.log = aside if inputs is None else silent
    from embedgrad.runtime.progress import Progress

    tuned = prompt_from(arguments)

    def answers(phase: str, given: dict[str, str], optimized: bool) -> list[str]:
        texts, where = list(given.values()), list(given)
        if len(texts) == 1:
            return list(tuned.generate(texts, where=where, optimized=optimized))
        with Progress(phase, len(texts), aside) as at:
            found = tuned.generate(texts, where=where, optimized=optimized, on_progress=at.of, on_step=at.under_way)
        return list(found)

    def answer(given: dict[str, str]) -> None:
        after = answers("answers", given, optimized=True)
        both = arguments.both
        before = answers("answers of the text prompt", given, optimized=False) if both else [None] * len(given)
        for text, new, old in zip(given.values(), after, before, strict=True):
            if arguments.json:
                row = {"input": text, "output": new} | ({"text_prompt_output": old} if arguments.both else {})
                # Escapes of JSON's own: what a terminal shows can still be read as JSON.
                _print_answer(json.dumps(row, ensure_ascii=sys.stdout.isatty()))
            elif arguments.both:
                _print_answer(f"text prompt: {old}\noptimised:   {new}")
            else:
                _print_answer(new)

    if inputs is not None:
        answer(inputs)
        return
    for number, line in _typed():
        try:
            answer({f"line {number}": line})
        except UserError as error:
            if not sys.stdin.isatty():  # no one is there to ask again, and a missing answer would shift all others
                raise
            aside(str(error))  # for instance an input too long; the next one may be asked


def _print_answer(answer: str) -> None:
    """An answer as it is, for whoever reads a pipe or a file; on a terminal without what would steer it."""
    print(printable(answer, keep="\n\t") if sys.stdout.isatty() else answer, flush=True)


def _given(arguments: argparse.Namespace) -> dict[str, str] | None:
    """The inputs by what an error calls them."""
    if arguments.inputs and arguments.file:
        raise UserError("give inputs or --file, not both.")
    if not arguments.file:
        return {f"input {number}": text for number, text in enumerate(arguments.inputs, start=1)} or None
    try:
        raw = arguments.file.read_bytes()
    except OSError as error:
        raise UserError(f"{arguments.file}: cannot be read ({error.strerror}).") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{arguments.file}:{line}: not UTF-8; save the whole file as UTF-8.") from None
    # Not splitlines: it also cuts where a text holds U+2028, U+0085, a form feed or the like.
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    inputs = {f"{arguments.file}:{number}": line for number, line in lines if line.strip()}
    if not inputs:
        raise UserError(f"{arguments.file}: no input; write one per line.")
    return inputs


def _typed() -> Iterable[tuple[int, str]]:
    """The lines of standard input that are not blank, with their numbers."""
    asks = sys.stdin.isatty()
    for number in count(1):
        if asks:
            print("> ", end="", flush=True)
        try:
            line = sys.stdin.readline()
            line.encode()
        except UnicodeError:
            raise UserError("standard input is not UTF-8; give the inputs as UTF-8.") from None
        if not line:
            return
        if line.strip():
            yield number, line.strip()
