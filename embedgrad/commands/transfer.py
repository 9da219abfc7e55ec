r"""Carry an optimised prompt over to another model, through a map between the embedding tables; then a few steps there.

    embedgrad transfer --prompt-file prompt.safetensors --to Qwen/Qwen2.5-1.5B-Instruct --out carried.safetensors
    embedgrad transfer --prompt-file prompt.safetensors --to Qwen/Qwen2.5-1.5B-Instruct --out carried.safetensors \
        --steps 10 --data reviews.csv --test more_reviews.csv --report carried.json

--report measures on --test: the text prompt, the carried prompt, random displacements as long, with --steps the carried and the
text prompt after so many steps, and with --own the prompt that was optimised for the other model itself.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from embedgrad.commands.arguments import load_from
from embedgrad.commands.checked import OutputFile, check_outputs, check_writable, output_file, whole
from embedgrad.commands.output import plain_line
from embedgrad.commands.prompts import add_prompt_arguments, model_of, needed_grading
from embedgrad.commands.splits import add_split_arguments, splits_from
from embedgrad_core.files import UserError, write_json

if TYPE_CHECKING:
    from embedgrad_core import FrozenModel
    from embedgrad_core.files import Item

HELP = "carry an optimised prompt over to another model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prompt and its model, the other model, steps there, outputs."""
    add_prompt_arguments(parser)
    other = parser.add_argument_group("the other model")
    other.add_argument("--to", required=True, metavar="MODEL", help="hub id (owner/name) or a local folder")
    other.add_argument("--to-revision", default="main", help="hub revision, best a commit sha")
    other.add_argument("--to-dtype", help="default: --dtype")
    other.add_argument("--to-sha256", help="refuse a local folder with another fingerprint, as --sha256")
    other.add_argument("--to-dequantised-from", help="what its weights were quantised to; the report says so")
    other.add_argument(
        "--length",
        choices=["map", "relative"],
        default="map",
        help="how long a displacement is there: as the map makes it, or as long as here, relative to the word's embedding",
    )
    add_split_arguments(
        parser,
        "for steps and the report; your own files, as for `embedgrad optimize --data`",
        data="items to train on there",
        dev="items that decide whether the steps are kept",
    )
    loop = parser.add_argument_group("steps on the other model")
    loop.add_argument("--steps", type=whole(0), default=0, help="gradient steps after the transfer; default: none")
    loop.add_argument("--learning-rate", type=float, default=0.01)
    loop.add_argument("--batch-size", type=whole(1), default=8)
    loop.add_argument("--seed", type=whole(0, 10**12), default=0, help="of the map's held-out tokens and of the steps")
    loop.add_argument("--controls", type=whole(1, 100), default=3, help="random displacements in the report")
    parser.add_argument("--out", required=True, type=output_file, help="the prompt file for the other model")
    parser.add_argument("--report", type=output_file, help="JSON: what is left of the gain there")
    parser.add_argument(
        "--own",
        type=Path,
        metavar="FILE",
        help="the same text optimised for the other model: in the report its gain is the whole of which the others keep a share",
    )
    parser.add_argument("--state", type=output_file, help="resume state of the steps; default: beside --out")


def run(arguments: argparse.Namespace) -> None:
    """Carry over, train, save, report."""
    state = arguments.state or OutputFile(arguments.out.with_suffix(".state"))
    again, scores = (OutputFile(state.with_suffix(f".{name}.state")) for name in ("scratch", "scores"))
    for file in (state, again, scores):
        check_writable(file)
    check_outputs(arguments)
    train, dev, test = _items(arguments)
    from embedgrad.carry.compared import lines_of
    from embedgrad.carry.maps import Table
    from embedgrad.carry.reported import check_own, transfer_report
    from embedgrad.carry.transfer import carry, train_on
    from embedgrad.evaluation import unseen
    from embedgrad.runtime.provenance import made_with, versions
    from embedgrad_core import PromptEmbedding, Settings
    from embedgrad_core.prompt_header import recorded_decoding

    settings = Settings(arguments.learning_rate, 1, arguments.batch_size, arguments.seed)
    frozen = model_of(arguments, arguments.prompt_file)
    prompt = PromptEmbedding.load(arguments.prompt_file, frozen)
    source = Table.of(frozen)
    del frozen
    target = _target(arguments)
    own = PromptEmbedding.load(arguments.own, target) if arguments.own else None
    if own:
        check_own(own, prompt)
    kept = recorded_decoding(arguments.prompt_file, prompt.header)
    changed = {
        "max_new_tokens": arguments.max_new_tokens,
        "batch_size": arguments.decode_batch_size,
        "engine": arguments.engine,
    }
    decoding = replace(kept, **{key: value for key, value in changed.items() if value})
    carried = carry(
        *(source, prompt, target),
        items=[*train, *dev],
        decoding=decoding,
        length=arguments.length,
        seed=arguments.seed,
        log=plain_line,
    )
    final = carried.prompt
    if arguments.steps:
        plain_line(f"{arguments.steps} steps from the carried prompt")
        final, _ = train_on(target, final, train, dev, arguments.steps, settings, state=state, log=plain_line)
    final.save(arguments.out, {"versions": versions()})
    plain_line(
        f"{arguments.out}: {final.slot.k} vectors of width {target.width} for {target.name}, from {prompt.slot.k} for {source.name}"
    )
    if not arguments.report:
        state.unlink(missing_ok=True)
        return
    scratch = None
    if arguments.steps:
        plain_line(f"{arguments.steps} steps from the text prompt, to compare with")
        text = PromptEmbedding.from_text(target, final.slot)
        scratch, _ = train_on(target, text, train, dev, arguments.steps, settings, state=again, log=plain_line)
    found = transfer_report(
        target,
        carried,
        test if arguments.keep_seen else unseen(test, *filter(None, (prompt, final, own))),
        needed_grading(arguments, arguments.prompt_file),
        decoding,
        further=final if arguments.steps else None,
        scratch=scratch,
        own=own,
        controls=arguments.controls,
        labels=[*train, *dev],
        state=scores,
        log=plain_line,
    )
    told = {
        "settings": {
            "steps": arguments.steps,
            "learning_rate": settings.learning_rate,
            "batch_size": settings.batch_size,
        }
    }
    told["settings"] |= {"seed": arguments.seed, "length": arguments.length}
    write_json(arguments.report, found | told | made_with(target, arguments.prompt_file))
    for file in (state, again, scores):  # only now is nothing left to resume
        file.unlink(missing_ok=True)
    for line in lines_of(found["arms"]):
        plain_line(line)


def _items(arguments: argparse.Namespace) -> "tuple[list[Item], list[Item], list[Item]]":
    """Train, dev and test, before any model is loaded."""
    if arguments.own and not arguments.report:
        raise UserError("--own is for --report; leave it out, or name the report's file.")
    needs = {"--data": arguments.steps and not arguments.data, "--test": arguments.report and not arguments.test}
    for flag, missing in needs.items():
        if missing:
            raise UserError(f"{'--steps' if flag == '--data' else '--report'} needs items; give {flag} FILE.")
    if (arguments.dev or arguments.data) and not arguments.steps:
        raise UserError("--data and --dev are for --steps; leave them out, or say how many steps.")
    if arguments.test and not arguments.report:
        raise UserError("--test is for --report; leave it out, or name the report's file.")
    if not (arguments.data or arguments.test):
        return [], [], []
    return splits_from(arguments, needed_grading(arguments, arguments.prompt_file))


def _target(arguments: argparse.Namespace) -> "FrozenModel":
    """The other model, on the same device."""
    other = {"model": arguments.to, "revision": arguments.to_revision, "dtype": arguments.to_dtype or arguments.dtype}
    other |= {"sha256": arguments.to_sha256, "dequantised_from": arguments.to_dequantised_from}
    return load_from(argparse.Namespace(**{**vars(arguments), **other}))
