"""``README.md`` of an export: what it is, how good it is, how to load it."""

import re
from pathlib import Path
from typing import Any

import jinja2
import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from embedgrad_core.files import UserError, fenced, markdown_escape
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

LIBRARIES = {"peft": "peft", "merged": "transformers", "vllm": "vllm", "prompt": "embedgrad"}
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,
)
# Names, settings and versions are what a prompt file says, and that may come from anybody.
_ENVIRONMENT.filters["md"] = lambda value: markdown_escape(str(value))


def snippet(kind: str, frozen: FrozenModel, folder: str, **values: Any) -> str:
    """Python lines that load an export from ``folder`` and answer one input; every value stands in them as a literal."""
    values |= {"name": frozen.name, "dtype": str(frozen.dtype).removeprefix("torch.")}
    values |= {"folder": folder, "end": sorted(frozen.stop_ids())}
    literal = {key: value if isinstance(value, (list, bool, int)) else _quoted(value) for key, value in values.items()}
    return _ENVIRONMENT.get_template(f"{kind}.py.j2").render(literal)


def _results(metrics: dict) -> list[EvalResult]:
    """In the hub's own form, which it shows beside the card and compares across models (``ModelCardData``)."""
    data = metrics["data"]
    common = {
        "task_type": "text-generation",
        "dataset_name": data,
        "dataset_type": re.sub(r"[^\w./-]+", "-", data),
        "metric_type": "accuracy",
    }
    names = {"before": "accuracy of the text prompt", "after": "accuracy of the optimised prompt"}
    return [
        EvalResult(**common, metric_name=names[side], metric_value=round(row["correct"] / metrics["n"], 6))
        for side, row in metrics["sides"].items()
    ]


def _quoted(text: str) -> str:
    r"""A Python literal in double quotes."""
    body = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text.replace("\\", "\\\\")
    return '"' + body.replace('"', '\\"') + '"'


def check_licence(licence: str | None) -> None:
    """Refuse what is not an identifier in one line.

    Raises:
        UserError: names it.
    """
    if licence is not None and not (isinstance(licence, str) and licence.strip() and licence.isprintable()):
        raise UserError(f"licence {licence!r}: write an identifier in one line, e.g. apache-2.0.")


def card(
    kind: str,
    frozen: FrozenModel,
    prompt: PromptEmbedding,
    code: str,
    *,
    metrics: dict | None = None,
    licence: str | None = None,
) -> str:
    """The card as Markdown.

    Args:
        kind: ``peft``, ``merged`` or ``vllm``; ``prompt``: the prompt file itself.
        frozen: the base model.
        prompt: what was exported.
        code: of :func:`snippet`.
        metrics: of :func:`embedgrad_core.export.metrics.card_numbers`.
        licence: identifier for the card's header, e.g. ``apache-2.0``.
    """
    header = prompt.header
    data = header.get("data") or {}
    seen = f"{data['train']} items, {data['dev']} more for early stopping" if "train" in data else "not recorded"
    if data.get("task"):
        seen += f" ({data['task']}{', level ' + data['level'] if data.get('level') else ''})"
    settings = header.get("settings") or {}
    name = frozen.name if not Path(frozen.name).is_dir() else Path(frozen.name).name
    tags = ["embedgrad", "prompt-tuning", *(["peft"] if kind == "peft" else [])]
    about: dict[str, str | list] = {"base_model": name, **({"license": licence} if licence else {})}
    about |= {"library_name": LIBRARIES[kind], "pipeline_tag": "text-generation", "tags": tags}
    if metrics and metrics["data"]:
        about["model-index"] = eval_results_to_model_index(f"prompt for {name}", _results(metrics))
    return _ENVIRONMENT.get_template("card.md.j2").render(
        kind=kind,
        about=yaml.safe_dump(about, sort_keys=False, width=1_000).rstrip(),
        name=name,
        licence=licence,
        k=prompt.slot.k,
        text=fenced(prompt.slot.text),
        revision=frozen.resolved,
        architecture=type(frozen.network).__name__,
        dequantised_from=frozen.dequantised_from,
        parameters=f"{frozen.network.num_parameters():,}",
        layout=", ".join(f"{key} {value!r}" for key, value in header["layout"].items() if value),
        trained_on=seen,
        settings=", ".join(f"{key} {value}" for key, value in settings.items() if value) or "not recorded",
        drift=f"{float(prompt.drift.mean()):.3g}",
        versions=", ".join(f"{key} {value}" for key, value in (header.get("versions") or {}).items()) or "not recorded",
        metrics=metrics,
        snippet=code.rstrip(),
    )
