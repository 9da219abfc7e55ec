"""A page of prompts: what each word moved towards, and what the model would say next, layer by layer, before and after.

embedgrad gallery --results results/demo --out gallery.html
embedgrad gallery prompt.safetensors other.safetensors --out gallery.html
"""

import argparse
import os
from pathlib import Path

from embedgrad.commands.arguments import add_model_arguments
from embedgrad.commands.checked import output_file, whole
from embedgrad.commands.output import plain_line, silent
from embedgrad.commands.prompts import model_of
from embedgrad_core.files import UserError

HELP = "a page of prompts: where each word went, layer by layer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Prompts, the page, how much of each."""
    parser.add_argument("prompts", nargs="*", type=Path, metavar="FILE", help="prompt files")
    parser.add_argument("--results", type=Path, help="results/<run>: all prompts of its cells")
    parser.add_argument("--out", required=True, type=output_file, help="HTML")
    parser.add_argument("--layers", type=whole(1), default=8, help="of the logit lens at most, the last one among them")
    parser.add_argument("--nearest", type=whole(1, 100), default=4, help="tokens to show at each position")
    add_model_arguments(parser, required=False)


def run(arguments: argparse.Namespace) -> None:
    """Look at each prompt with its model; write the page."""
    names = _prompts(arguments)
    from embedgrad.analyses.gallery import gallery_entry
    from embedgrad.reporting.page.gallery import write_gallery
    from embedgrad.runtime.progress import Progress
    from embedgrad.stored import stored_model
    from embedgrad_core import PromptEmbedding, read_prompt_file

    arguments.log = silent
    asked = arguments.model, arguments.revision
    # One model stays loaded: its prompts one after the other, then back into the order of the page.
    models = {path: stored_model(path, read_prompt_file(path)[1], *asked) for path in names}
    entries = {}
    with Progress("prompts", len(names), plain_line, unit="prompts") as at:
        for path in sorted(names, key=lambda path: models[path]):
            arguments.model, arguments.revision = asked
            frozen = model_of(arguments, path)
            prompt = PromptEmbedding.load(path, frozen)
            entries[path] = gallery_entry(frozen, prompt, names[path], arguments.nearest, arguments.layers)
            at.advance()
    title = arguments.results.name if arguments.results else ""
    write_gallery([entries[path] for path in names], title, arguments.out)
    plain_line(f"{arguments.out}: {len(names)} prompt{'s' if len(names) > 1 else ''}")


def _prompts(arguments: argparse.Namespace) -> dict[Path, str]:
    """The prompt files, each with its name on the page.

    Raises:
        UserError: there is none.
    """
    # Many runs call the file prompt.safetensors: the folders in which the paths differ belong to the name.
    folders = [path.absolute().parent for path in arguments.prompts]
    common = os.path.commonpath(folders) if folders else ""
    found = {path: path.absolute().relative_to(common).as_posix() for path in arguments.prompts}
    if arguments.results:
        # A cell: <dataset>/<model>/seed<n>; other methods and sweeps lie deeper.
        paths = sorted(arguments.results.glob("*/*/seed*/prompt.safetensors"))
        found |= {path: path.parent.relative_to(arguments.results).as_posix() for path in paths}
    if not found:
        where = f"{arguments.results}: no */*/seed*/prompt.safetensors in it; " if arguments.results else ""
        raise UserError(f"{where}give prompt files, or the results of a run (--results results/<run>).")
    return found
