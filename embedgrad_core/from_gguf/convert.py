"""Turn a GGUF file into a model folder: weights by transformers' own reader, dequantised to float16."""

import contextlib
import importlib
import io
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from embedgrad_core.files import UserError, check_new_folder, reason_of, sha256_of_file, whole_folder
from embedgrad_core.from_gguf.families import Shape, check_family, rope_parameters
from embedgrad_core.from_gguf.header import Header, read_header
from embedgrad_core.from_gguf.note import write_note
from embedgrad_core.from_gguf.tied import INPUT, are_one, finer
from embedgrad_core.from_gguf.tokenizer import check_tokenizer, token_id, write_tokenizer

_EMBEDDING, _HEAD = "model.embed_tokens.weight", "lm_head.weight"
# What the reader leaves in a configuration that is true of the file and not of the folder.
_OF_THE_FILE = ("quantization_config", "dtype", "torch_dtype", "_name_or_path", "_model_name_or_path", "architectures")


def convert_gguf(source: str | Path, out: str | Path) -> dict:
    """Write the Hugging Face folder of a GGUF file's model, whole or not at all.

    Weights are float16, (rows, columns) as transformers has them. Where the file holds the embedding matrix twice, as input and as
    output, and the two agree but for rounding, the folder holds the finer one for both (:mod:`embedgrad_core.from_gguf.tied`).

    Args:
        source: the file, under any name (Ollama's have no ending).
        out: a new folder, or an empty one.

    Returns:
        ``quantisation``, ``sha256`` of the file, ``architecture``, ``parameters`` and ``tied``.

    Raises:
        UserError: the extra is not installed; the folder holds something; the file is not GGUF, cut short, damaged or one of
            several, or its architecture, tokenizer or a property of it is not known here.
    """
    source, out = Path(source), Path(out)
    check_new_folder(out)
    require_extra()
    header = read_header(source)
    shape = check_family(header)
    rope, rule = rope_parameters(header, shape), check_tokenizer(header)
    sha256 = sha256_of_file(source)
    tied = are_one(header)
    config, weights = _read_weights(header, shape)
    network = _assemble(config, weights, header, rope, tied)
    kinds = dict(sorted(Counter(tensor.kind for tensor in header.tensors.values()).items()))
    quantisation = quantisation_name(header)
    with whole_folder(out) as folder:
        network.save_pretrained(folder)
        _write_generation(header, folder)
        write_tokenizer(header, rule, folder)
        write_note(folder, file=source.name, sha256=sha256, quantisation=quantisation, kinds=kinds, tied=tied)
    return {
        "quantisation": quantisation,
        "sha256": sha256,
        "architecture": type(network).__name__,
        "parameters": network.num_parameters(),
        "tied": tied,
    }


def require_extra() -> None:
    """Check that the packages of the extra ``gguf`` are there.

    Raises:
        UserError: one is not.
    """
    for name in ("gguf", "accelerate"):
        try:
            importlib.import_module(name)
        except ImportError:
            raise UserError(
                f"reading GGUF files needs the package {name}, an extra: make gguf, or pip install -e '.[gguf]'."
            ) from None


def quantisation_name(header: Header) -> str:
    """The mixture as llama.cpp calls it (``Q4_K_M``); the type of most bytes where the file does not say."""
    from gguf import LlamaFileType

    try:
        return LlamaFileType(header.metadata.get("general.file_type")).name.split("_", 1)[1]
    except ValueError:
        sizes: Counter[str] = Counter()
        for tensor in header.tensors.values():
            sizes[tensor.kind] += tensor.size
        return sizes.most_common(1)[0][0]


def _read_weights(header: Header, shape: Shape) -> tuple[PretrainedConfig, dict[str, torch.Tensor]]:
    """Configuration and weights as transformers reads them, llama's query and key rows back in its own order."""
    with tempfile.TemporaryDirectory() as scratch:
        # A folder of its own: transformers would read an adapter or a configuration beside the file, and asks for the ending.
        (Path(scratch) / "model.gguf").symlink_to(header.path.resolve())
        # It draws a bar on standard error unasked; a log holds plain lines.
        quiet = contextlib.nullcontext() if sys.stderr.isatty() else contextlib.redirect_stderr(io.StringIO())
        try:
            with quiet:
                network, info = AutoModelForCausalLM.from_pretrained(
                    scratch,
                    gguf_file="model.gguf",
                    dtype=torch.float16,
                    trust_remote_code=False,
                    output_loading_info=True,
                )
        # Two packages stand behind this call; each fault becomes one sentence and stays chained.
        except Exception as error:
            message = reason_of(error)
            raise UserError(
                f"{header.path}: transformers cannot read it ({type(error).__name__}: {message}); take the ordinary checkpoint."
            ) from error
    config, weights = network.config, network.state_dict()
    left = {key: sorted(map(str, info[key])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    if config.model_type != shape.architecture or any(left.values()):
        raise UserError(f"{header.path}: transformers reads it as another model ({config.model_type}, {left}).")
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{header.path}: {name} holds numbers that float16 does not; take the ordinary checkpoint.")
    return config, weights


def _assemble(
    config: PretrainedConfig, weights: dict[str, torch.Tensor], header: Header, rope: dict, tied: bool
) -> torch.nn.Module:
    """The model as one that was never quantised, around the same tensors."""
    plain = {key: value for key, value in config.to_dict().items() if key not in _OF_THE_FILE}
    ids = {
        f"{name}_token_id": token_id(header, key) for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))
    }
    plain |= {"tie_word_embeddings": tied, "rope_parameters": rope, **ids}
    fresh = type(config)(**plain)
    if tied and _HEAD in weights:
        weights[_EMBEDDING] = weights[_HEAD] = weights[_EMBEDDING if finer(header) == INPUT else _HEAD]
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(fresh, dtype=torch.float16, trust_remote_code=False)
    network.load_state_dict(weights, assign=True)
    network.tie_weights()
    return network


def _write_generation(header: Header, folder: Path) -> None:
    """The ids that end a text: the end token, and a turn's where the file names another (llama.cpp stops at each)."""
    ends = dict.fromkeys(place for name in ("eos", "eot", "eom") if (place := token_id(header, name)) is not None)
    pad = token_id(header, "padding")
    ids = {"eos_token_id": list(ends) if len(ends) > 1 else next(iter(ends))}
    ids["pad_token_id"] = next(iter(ends)) if pad is None else pad
    (folder / "generation_config.json").write_text(json.dumps(ids, indent=2) + "\n", encoding="utf-8")
