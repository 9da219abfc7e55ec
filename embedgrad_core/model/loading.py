"""Load a language model, frozen: from where, on which device and in which dtype, and why; what goes wrong is one sentence."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from embedgrad_core.files import UserError, check_snapshot, folder_fingerprint, folder_hashes, parse_json, reason_of
from embedgrad_core.from_gguf.note import dequantised_from
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.model.kernels import freeze_linears

DEVICE_MAPS = ("none", "auto", "balanced")
# Seconds before each new try when the hub answers that it is failing.
RETRIES = (1.0, 4.0)
# What configurations call their number of layers.
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")


def choose_device(wanted: str = "auto", dtype: str = "auto") -> tuple[torch.device, torch.dtype, str]:
    """Decide device and dtype in one place.

    Returns:
        The device, the dtype, and one sentence that says why.

    Raises:
        UserError: CUDA or a GPU is asked for and not there, or a device that is neither CPU nor CUDA.
    """
    if wanted == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        why = f"device {device.type}: " + ("a CUDA device is visible" if device.type == "cuda" else "no CUDA device")
    else:
        try:
            device = torch.device(wanted)
        except RuntimeError:
            raise UserError(f"device {wanted!r} is unknown to torch; use auto, cpu or cuda.") from None
        if device.type not in ("cpu", "cuda"):
            raise UserError(f"device {wanted!r} is not one that this suite computes on; use auto, cpu or cuda.")
        if device.type == "cuda" and not torch.cuda.is_available():
            raise UserError(f"device {wanted!r} was asked for but torch sees no CUDA device; use --device auto or cpu.")
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise UserError(f"device {wanted!r} was asked for but torch sees {torch.cuda.device_count()} of them.")
        why = f"device {device}: as asked"
    if dtype == "auto":
        chosen = torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
        return device, chosen, f"{why}; dtype {str(chosen).removeprefix('torch.')}: the best this device computes in"
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise UserError(f"dtype {dtype!r} is not a floating dtype of torch; use auto, float32, bfloat16 or float16.")
    return device, chosen, f"{why}; dtype {dtype}: as asked"


def load_model(
    name: str,
    *,
    revision: str = "main",
    device: str = "auto",
    dtype: str = "auto",
    device_map: str = "none",
    quantisation: str | None = None,
    log: Callable[[str], None] = print,
) -> FrozenModel:
    """Load a causal language model and its tokenizer from a hub id or a local folder, frozen.

    ``device_map`` spreads the layers over all visible GPUs: ``auto`` or ``balanced`` (accelerate), or ``none``. With one
    GPU, or on a CPU, nothing is divided. ``quantisation`` ``nf4`` keeps the weights of all layers but the last in 4 bits
    (bitsandbytes, an extra), as QLoRA has them, on one device.

    Raises:
        UserError: no such folder or repository, a gated repository without access, no network, a broken file, a cached
            file that is not what the hub sent, weights that are missing, or a model that the GPUs together do not hold.
    """
    if device_map not in DEVICE_MAPS:
        raise UserError(f"device_map is {device_map!r}; it must be one of {', '.join(DEVICE_MAPS)}.")
    place, chosen, why = choose_device(device, dtype)
    divided = device_map != "none" and place.type == "cuda" and place.index is None and torch.cuda.device_count() > 1
    log(f"{name}: {why}" + (f"; layers over {torch.cuda.device_count()} GPUs" if divided else ""))
    is_folder = Path(name).is_dir()
    if Path(name).is_file():
        raise UserError(
            f"model {name}: is a file; give the folder that holds config.json (`embedgrad from-gguf` makes one of a GGUF "
            "file), or a hub id like owner/name."
        )
    if not is_folder and (name.startswith((".", "/")) or name.count("/") > 1):
        raise UserError(f"model {name}: no such folder; give a folder with config.json or a hub id like owner/name.")
    if is_folder:
        _check_layers(Path(name))
    where = {} if is_folder else {"revision": revision}
    split: dict[str, Any] = {"device_map": device_map} if divided else {}
    if quantisation:
        split = {"quantization_config": _in_4_bits(quantisation, chosen), "device_map": {"": place}}
        divided = False
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()  # a log holds plain lines
    for wait in (*RETRIES, None):
        try:
            # Set explicitly: unset, transformers asks on a terminal whether to run a repository's code.
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
            network, info = AutoModelForCausalLM.from_pretrained(
                name,
                dtype=chosen,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **where,
                **split,
            )
            break
        # A hub, a disk and three file formats stand behind these calls; each fault becomes one sentence and stays chained.
        except Exception as error:
            if wait is None or is_folder or not _may_pass(error):
                if not is_folder:
                    check_cached(name, revision)
                raise UserError(_why_not_loaded(name, revision, is_folder, error)) from error
            log(f"{name}: the hub failed ({_status(error)}); trying again in {wait:g} s")
            time.sleep(wait)
    if lost := sorted(info["missing_keys"]):  # transformers would draw them at random, and say so in a note
        raise UserError(
            f"model {name}: {len(lost)} of its weights are not in its files, {lost[0]} first; take a whole copy."
        )
    network.requires_grad_(False)
    network.eval()
    if not divided and not quantisation:  # in 4 bits it lies where it was quantised
        network.to(place)
    if divided and (left := {"cpu", "disk"} & {str(part) for part in network.hf_device_map.values()}):
        raise UserError(
            f"model {name}: the {torch.cuda.device_count()} visible GPUs do not hold it (parts are left to "
            f"{' and '.join(sorted(left))}); give it more or larger GPUs, or a smaller dtype."
        )
    freeze_linears(network)
    # After the loading, which fetches what is not there: a second reading of the weights, from memory where they fit.
    if not is_folder:
        return FrozenModel(network, tokenizer, name, revision, check_cached(name, revision))
    hashes = folder_hashes(Path(name))
    source = dequantised_from(Path(name), hashes)
    return FrozenModel(network, tokenizer, name, revision, folder_fingerprint(hashes), source, hashes)


def _in_4_bits(quantisation: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """NF4 with double quantisation, as the authors of QLoRA have it (https://arxiv.org/abs/2305.14314, Section 3)."""
    if quantisation != "nf4":
        raise UserError(f"quantisation is {quantisation!r}; it must be nf4.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("quantisation nf4 needs bitsandbytes, which is not installed: make rivals.")
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _check_layers(folder: Path) -> None:
    """Refuse a configuration with more layers than its weights have tensors: it would be built for ever before anyone noticed.

    Whatever else is wrong with a folder its readers say themselves.
    """
    try:
        config = parse_json((folder / "config.json").read_text(encoding="utf-8"))
        tensors = 0
        for file in folder.glob("*.safetensors"):
            with safe_open(file, framework="pt") as source:
                tensors += len(list(source.keys()))
        parts = [config, config.get("text_config")]
        named = [
            part[key] for part in parts if isinstance(part, dict) for key in _LAYERS if isinstance(part.get(key), int)
        ]
    except (SafetensorError, OSError, ValueError, TypeError, LookupError, RuntimeError, AttributeError):
        return
    if tensors and max(named, default=0) > tensors:
        raise UserError(
            f"model folder {folder}: config.json states {max(named)} layers, but the weights hold {tensors} tensors in all; "
            "take a whole copy."
        )


def check_cached(name: str, revision: str) -> str:
    """The commit that a hub model was read at, the name of its folder in the cache, whose files must be what the hub sent.

    Raises:
        UserError: a file that changed since, or came damaged.
    """
    place = try_to_load_from_cache(name, "config.json", revision=revision)
    if not isinstance(place, str):
        return "unknown"
    check_snapshot(Path(place).parent, f"model {name}")
    return Path(place).parent.name


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, if there is one."""
    answers = (getattr(link, "response", None) for link in _chain(error))
    return next((answer.status_code for answer in answers if answer is not None), None)


def _may_pass(error: BaseException) -> bool:
    """Whether the hub itself failed; lost connections are tried again by its client."""
    status = _status(error)
    return status is not None and (status >= 500 or status == 429)


def _why_not_loaded(name: str, revision: str, is_folder: bool, error: Exception) -> str:
    chain = [type(link).__name__ for link in _chain(error)]
    first_line = reason_of(error)
    if "trust_remote_code" in str(error):
        return (
            f"model {name}: it brings Python code of its own, which is never run here; choose a model whose "
            "architecture transformers knows."
        )
    if is_folder:
        return f"model folder {name}: cannot be loaded ({type(error).__name__}: {first_line}); check its files."
    if "GatedRepoError" in chain:
        return (
            f"model {name}: the repository is gated and this account has no access; accept its licence on the hub "
            "and log in with `hf auth login`, or leave its cells out with --config cells=…"
        )
    if "RevisionNotFoundError" in chain:
        return f"model {name}: revision {revision!r} does not exist; fix `revision` in the config."
    if "RepositoryNotFoundError" in chain:
        return f"model {name}: no such repository on the hub, or it is private; fix `hub` in the config."
    if _may_pass(error):
        return f"model {name}: the hub answered {_status(error)}, {len(RETRIES) + 1} times; try again later."
    offline = {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectError", "ConnectionError", "ConnectTimeout"}
    broken = {"RemoteProtocolError", "ReadTimeout", "ReadError"}
    if broken & set(chain):
        return f"model {name}: the hub broke off or did not answer, again and again; try later; what has come is kept."
    if offline & set(chain) or isinstance(error, OSError):
        return (
            f"model {name}: not in the local cache and the hub cannot be reached ({type(error).__name__}); connect, "
            "download it beforehand with `hf download`, or set a mirror folder (--config mirror=DIR)."
        )
    return f"model {name}: cannot be loaded ({type(error).__name__}: {first_line})."


def use_threads(threads: int | None) -> None:
    """Compute with ``threads`` CPU threads; many more than needed make a tiny model slower.

    Raises:
        UserError: fewer than 1.
    """
    if threads is not None:
        if threads < 1:
            raise UserError(f"threads is {threads}; give at least 1, or leave it out.")
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)
