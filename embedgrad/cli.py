"""The ``embedgrad`` command: one subcommand per step, each usable by hand and by the workflow alike."""

import argparse
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from embedgrad.commands.arguments import forget
from embedgrad.commands.checked import check_outputs
from embedgrad.runtime import interruption, resident, run_lock, startup
from embedgrad_core.files import UserError, is_whole_text

# For a prompt of one's own first, then the workflow's steps in their order.
NAMES = """
    optimize evaluate generate inspect compare transfer distil export push pull gallery from-gguf init plan
    data editions chains decode gather grade metrics table2 figures anchoring lat entropy likelihood limits ladder
    recovery baselines gather-baselines analyse probe summary
    rival carried sensitivity audit report keep pretrain
"""
COMMANDS = {name: import_module(f"embedgrad.commands.{name.replace('-', '_')}") for name in NAMES.split()}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, like all others."""

    def error(self, message: str) -> NoReturn:
        text = message if ";" in message else f"{message.rstrip('.')}; see {self.prog} --help."
        raise UserError(f"{self.prog}: {text}")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = _Parser(
        prog="embedgrad",
        description="Improve a prompt's embeddings by gradient while the language model stays frozen.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        sub = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 2 after one line on standard error that says what the user can fix; 130 after Ctrl-C; 143 after SIGTERM; 141 where
        what reads the output, as `head` does, has ended.
    """
    try:
        arguments = build_parser().parse_args(argv)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    # Libraries print "Materializing param=…" and the like; a log keeps our own lines.
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        _check_words(arguments)
        check_outputs(arguments)
        arguments.run(arguments)
    except UserError as error:
        print(f"embedgrad {arguments.command}: {error}", file=sys.stderr)
        return 2
    except interruption.Terminated:
        print(f"embedgrad {arguments.command}: ended by SIGTERM; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        print(f"embedgrad {arguments.command}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `embedgrad plan | head`: nobody reads on, and Python would say so once more as it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return 0


def _check_words(arguments: argparse.Namespace) -> None:
    """Words for a tokenizer must be text; a path may hold any bytes, which Python hands on as halves of surrogate pairs."""
    # A prompt's own type has looked at it already.
    for key in ("inputs", "labels", "separator", "suffix", "target_prefix", "system_message"):
        given = getattr(arguments, key, None) or ()
        for word in [given] if isinstance(given, str) else given:
            if not is_whole_text(word):
                where = "an input" if key == "inputs" else f"--{key.replace('_', '-')}"
                raise UserError(f"{where} is not UTF-8: {word!r}; set the terminal or the script to UTF-8.")


def entry() -> int:
    """The process behind the ``embedgrad`` command."""
    interruption.install()
    startup.shorten()
    for stream in (sys.stdout, sys.stderr):  # a terminal or file that is not UTF-8 shows what it cannot show as \\u2026
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        run_lock.join()
        if place := os.environ.pop(resident.SERVE, None):
            return resident.serve(Path(place), main, forget)
        code = resident.delegated(sys.argv[1:])
    except UserError as error:
        print(f"embedgrad: {error}", file=sys.stderr)
        return 2
    except interruption.Terminated:
        return 128 + signal.SIGTERM
    except KeyboardInterrupt:
        return 130
    return main() if code is None else code
