"""Arguments that several commands share."""

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from embedgrad.commands.checked import SHIPPED, output_file, penalty, rows, whole
from embedgrad.commands.output import aside, log_of
from embedgrad.runtime import gpus
from embedgrad_core.files import UserError, other_than, shard
from evaluators import EVALUATORS
from evaluators.boxed_math import FIRST, LAST

if TYPE_CHECKING:
    from embedgrad.grading import Grading
    from embedgrad_core import Decoding, FrozenModel, Layout
    from embedgrad_core.decoding.kept_rows import KeptRows
    from embedgrad_core.files import Item

MOST_THREADS = 4096


def add_model_arguments(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """--model and how to load it."""
    group = parser.add_argument_group("model")
    about = "hub id (owner/name) or a local folder" + ("" if required else "; default: the one the prompt was made for")
    group.add_argument("--model", required=required, help=about)
    group.add_argument(
        "--revision",
        default="main" if required else None,
        help="hub revision, best a commit sha" + ("" if required else "; default: the one the prompt was made for"),
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    group.add_argument(
        "--device-map",
        choices=["none", "auto", "balanced"],
        default="none",
        help="auto, balanced: spread the layers over all visible GPUs",
    )
    group.add_argument(
        "--sha256",
        help="refuse a local folder with another fingerprint (sha256:…), or another model.safetensors (its sha256)",
    )
    group.add_argument("--dequantised-from", help="what its weights were quantised to, as in Q4_1; results say so")
    group.add_argument(
        "--gpus",
        type=whole(0),
        default=0,
        help="take this many of the visible GPUs for this job alone; 0: use what is there",
    )
    group.add_argument("--threads", type=whole(1, MOST_THREADS), help="CPU threads; tiny models are fastest with 1")


def add_tuned_arguments(parser: argparse.ArgumentParser) -> None:
    """A model, and a prompt that was optimised for it."""
    add_model_arguments(parser)
    parser.add_argument("--prompt-file", required=True, type=Path, help="an optimised prompt")


def load_from(arguments: argparse.Namespace, quantisation: str | None = None) -> "FrozenModel":
    """The model that the arguments name, in 4 bits where that is asked for; loaded once per process."""
    if arguments.device in ("auto", "cuda"):  # cuda:1 is a choice already
        gpus.claim(arguments.gpus)
        if arguments.gpus and gpus.visible():
            log_of(arguments)(f"GPUs: {','.join(gpus.visible())}")
    from embedgrad.runtime.progress import waiting
    from embedgrad_core.model.loading import choose_device, use_threads

    use_threads(arguments.threads)
    device, dtype, device_map = arguments.device, arguments.dtype, arguments.device_map
    if (getattr(arguments, "tensor_parallel", None) or 1) > 1:
        # The GPUs are vLLM's, and one of them may be too small for the whole model: what this process needs of it (embeddings,
        # activations for the analyses) it computes in main memory, in the dtype that the GPUs have.
        dtype = str(choose_device(device, dtype)[1]).removeprefix("torch.")
        device, device_map = "cpu", "none"
    log = log_of(arguments)
    with waiting(f"{arguments.model}: loading", log):
        frozen = _load(arguments.model, arguments.revision, device, dtype, device_map, quantisation, log)
    if arguments.sha256 and (found := other_than(frozen.hashes, arguments.sha256)):
        raise UserError(
            f"model {arguments.model}: its files have {found}, wanted is {arguments.sha256}; "
            "take the right copy, or fix --sha256 (in a workflow: `sha256` in the config)."
        )
    return replace(frozen, dequantised_from=getattr(arguments, "dequantised_from", None) or frozen.dequantised_from)


@lru_cache(maxsize=1)
def _load(
    model: str, revision: str, device: str, dtype: str, device_map: str, quantisation: str | None, log: Callable
) -> "FrozenModel":
    from embedgrad_core.model.loading import load_model

    where: dict[str, Any] = {"revision": revision, "device": device, "dtype": dtype, "device_map": device_map}
    return load_model(model, **where, quantisation=quantisation, log=log)


def forget() -> None:
    """Let go of the model that :func:`load_from` keeps."""
    _load.cache_clear()


def add_layout_arguments(parser: argparse.ArgumentParser) -> None:
    r"""--layout and its parts; ``\n`` in a value is a line break."""
    group = parser.add_argument_group("layout", r"where the prompt sits; \n in a value is a line break")
    group.add_argument(
        "--layout",
        choices=["bare", "chat"],
        default="bare",
        help="bare: Eq. 5's concatenation (default); chat: the model's template",
    )
    group.add_argument(
        "--separator", type=with_line_breaks, default=" ", help="between prompt and input; default: a space"
    )
    group.add_argument("--suffix", type=with_line_breaks, default="", help="after the input")
    group.add_argument(
        "--target-prefix",
        type=with_line_breaks,
        help=r"before the target, in training; default: \n in bare, nothing in chat",
    )
    group.add_argument("--end", choices=["eos", "none"], default="eos", help="whether targets end with the end token")
    group.add_argument("--system-message", type=with_line_breaks, default="", help="chat: the system message")
    group.add_argument(
        "--system",
        choices=["given", "default", "none"],
        default="given",
        help="chat: default: the template's own message",
    )
    group.add_argument("--slot", choices=["user", "system"], default="user", help="chat: where the prompt goes")


def layout_from(arguments: argparse.Namespace) -> "Layout":
    """The layout that the arguments describe."""
    from embedgrad_core.layout import Layout

    values = {field.name: getattr(arguments, field.name, None) for field in fields(Layout)}
    if values["target_prefix"] is None:
        values["target_prefix"] = "\n" if arguments.layout == "bare" else ""
    return Layout(**{**values, "kind": arguments.layout})


def add_own_data_arguments(group: argparse._ArgumentGroup) -> None:
    """How to read data of one's own."""
    group.add_argument("--input-column", help="default: input, text, sentence, question, …")
    group.add_argument("--answer-column", help="what is checked; default: answer, label, output, …")
    group.add_argument("--target-column", help="what is trained on; default: target, solution (maths), or the answer")
    group.add_argument("--data-revision", help="of a hub data set; default: main")
    group.add_argument("--data-config", help="of a hub data set")
    group.add_argument("--data-split", help="of a hub data set; default: train")


def own_items_from(arguments: argparse.Namespace, source: str, grading: "Grading | None" = None) -> "list[Item]":
    """The items of one's own data, checked for the evaluator in use."""
    from embedgrad.grading import grading_from
    from embedgrad.runtime.progress import waiting
    from embedgrad.tasks.own.data import Columns, read_own

    grading = grading or grading_from(arguments)
    columns = Columns(arguments.input_column, arguments.answer_column, arguments.target_column)
    with waiting(f"{source}: reading", aside):
        return read_own(
            source,
            grading.evaluator,
            grading.labels,
            columns,
            log=aside,
            revision=arguments.data_revision,
            config=arguments.data_config,
            split=arguments.data_split,
        )


def add_decoding_arguments(parser: argparse.ArgumentParser, limit: int | None = 512) -> None:
    """Token limit, batches, stop and loop rules; without a ``limit`` the command finds one that fits."""
    group = parser.add_argument_group("decoding")
    default = "" if limit else " (default: 512, or what the longest input leaves free)"
    group.add_argument("--max-new-tokens", type=whole(1), default=limit, help=f"token limit of an answer{default}")
    group.add_argument(
        "--decode-batch-size",
        type=rows,
        default=16,
        help="rows decoded together; auto: as many as the GPU's memory holds (16 on a CPU)",
    )
    group.add_argument(
        "--block", type=whole(1), help="items answered by themselves, whatever the shards (default: a level)"
    )
    group.add_argument(
        "--stop-rule", choices=["family", "checkpoint"], default="family", help="which tokens end a text"
    )
    group.add_argument(
        "--loop-repeats", type=whole(2), default=3, help="a loop's tail repeats its phrase at least this often"
    )
    group.add_argument(
        "--engine", choices=["native", "vllm"], default="native", help="vllm: faster, an extra (docs/performance.md)"
    )
    group.add_argument(
        "--tensor-parallel", type=whole(1), metavar="N", help="vllm: split every matrix product over N GPUs"
    )
    group.add_argument(
        "--stop-on-loop",
        type=whole(2),
        metavar="N",
        help="end an answer once its tail has repeated N times (default: never)",
    )
    group.add_argument(
        "--repetition-penalty",
        type=penalty,
        metavar="P",
        help="shipped: what the model's generation_config.json asks for; default: none",
    )
    group.add_argument("--loop-tokens", type=whole(2), default=24, help="… over at least this many tokens")


def add_part_arguments(parser: argparse.ArgumentParser) -> None:
    """--shard: a part of the items; --state: where a killed decoding goes on."""
    parser.add_argument("--shard", metavar="I-of-N", help="only shard I of N, in whole blocks; for embedgrad gather")
    add_state_argument(parser)


def add_state_argument(parser: argparse.ArgumentParser) -> None:
    """--state: where a killed decoding goes on."""
    parser.add_argument(
        "--state",
        type=output_file,
        metavar="FILE",
        help="keep answers here block by block: the same command goes on from them, also after a kill",
    )


def kept_from(arguments: argparse.Namespace) -> "KeptRows | None":
    """The blocks that were answered before, if the arguments name a file for them."""
    from embedgrad_core.decoding.kept_rows import KeptRows

    return KeptRows(arguments.state) if arguments.state else None


def shard_from(arguments: argparse.Namespace, items: "list[Item]") -> "list[Item]":
    """The items of the shard that the arguments name, or all.

    Raises:
        UserError: it is not written as Snakemake writes a scatter item.
    """
    number, of, count = (arguments.shard or "1-of-1").partition("-of-")
    if not (of and number.isdecimal() and count.isdecimal()):
        raise UserError(f"--shard {arguments.shard}: write it as 2-of-7.")
    return shard(items, arguments.block, int(number), int(count))


def decoding_from(arguments: argparse.Namespace, frozen: "FrozenModel") -> "Decoding":
    """How the arguments say that answers are decoded, the number of rows decided."""
    from embedgrad_core import Decoding, LoopRule

    limit, asked = arguments.max_new_tokens, arguments.repetition_penalty
    return Decoding(
        max_new_tokens=limit,
        batch_size=frozen.rows_in_flight(arguments.decode_batch_size, limit),
        block=arguments.block,
        stop_rule=arguments.stop_rule,
        engine=arguments.engine,
        tensor_parallel=arguments.tensor_parallel,
        stop_on_loop=arguments.stop_on_loop,
        loop=LoopRule(arguments.loop_repeats, arguments.loop_tokens),
        repetition_penalty=frozen.shipped_penalty if asked == SHIPPED else asked,
    )


def add_grading_arguments(parser: argparse.ArgumentParser) -> None:
    """--task or --evaluator: how an answer is checked."""
    group = parser.add_argument_group("grading", "--task takes evaluator and labels from a task of the suite")
    group.add_argument("--task", help="a task of the suite, e.g. math500")
    group.add_argument("--evaluator", choices=[*EVALUATORS], help="for data of your own")
    group.add_argument(
        "--labels", help="comma-separated labels of --evaluator label; 0=bad,1=good where the data have numbers"
    )
    group.add_argument("--strict", action="store_true", help="headline is the strict reading of labels and Yes/No")
    group.add_argument("--box", choices=[LAST, FIRST], help="which box counts, boxed maths alone; default: last")


def arguments_of(command: ModuleType, arguments: argparse.Namespace, **more: object) -> argparse.Namespace:
    """What ``command`` would have got if it had been called by itself with these arguments."""
    command.add_arguments(parser := argparse.ArgumentParser())
    defaults = {action.dest: action.default for action in parser._actions}
    return argparse.Namespace(**{**defaults, **vars(arguments), **more})


def with_line_breaks(text: str) -> str:
    r"""The type of a text in which ``\n`` is a line break."""
    return text.replace("\\n", "\n")
