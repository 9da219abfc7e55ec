"""``README.md`` of an export: what it is, how good it is, how to load it."""

from pathlib import Path
from typing import Any

import jinja2
import yaml

from contracts import UserError, fenced, markdown_escape
from embedgrad_core.model import FrozenModel
from embedgrad_core.prompt import PromptEmbedding

LIBRARIES = {"peft": "peft", "merged": "transformers", "vllm": "vllm"}
_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,
)
# Names, settings and versions are what a prompt file says, and that may come from anybody.
_ENVIRONMENT.filters["md"] = lambda value: markdown_escape(str(value))


def snippet(kind: str, **values: Any) -> str:
    """Python lines that load an export and answer one input; every value stands in them as a literal."""
    literal = {key: value if isinstance(value, (list, bool, int)) else _quoted(value) for key, value in values.items()}
    return _ENVIRONMENT.get_template(f"{kind}.py.j2").render(literal)


def _quoted(text: str) -> str:
    r"""A Python literal in double quotes."""
    body = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text.replace("\\", "\\\\")
    return '"' + body.replace('"', '\\"') + '"'


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
        kind: ``peft``, ``merged`` or ``vllm``.
        frozen: the base model.
        prompt: what was exported.
        code: of :func:`snippet`.
        metrics: ``metrics.json`` of a cell, or what ``embedgrad evaluate --json`` prints.
        licence: identifier for the card's header, e.g. ``apache-2.0``.

    Raises:
        UserError: metrics of neither kind.
    """
    header = prompt.header
    data = header.get("data") or {}
    seen = f"{data['train']} items, {data['dev']} more for early stopping" if "train" in data else "not recorded"
    if data.get("task"):
        seen += f" ({data['task']}{', level ' + data['level'] if data.get('level') else ''})"
    settings = header.get("settings") or {}
    name = frozen.name if not Path(frozen.name).is_dir() else Path(frozen.name).name
    tags = ["embedgrad", "prompt-tuning", *(["peft"] if kind == "peft" else [])]
    about = {"base_model": name, **({"license": licence} if licence else {}), "library_name": LIBRARIES[kind]}
    about |= {"pipeline_tag": "text-generation", "tags": tags}
    return _ENVIRONMENT.get_template("card.md.j2").render(
        kind=kind,
        about=yaml.safe_dump(about, sort_keys=False, width=1_000).rstrip(),
        name=name,
        licence=licence,
        k=prompt.slot.k,
        text=fenced(prompt.slot.text),
        revision=frozen.resolved,
        architecture=type(frozen.network).__name__,
        parameters=f"{frozen.network.num_parameters():,}",
        layout=", ".join(f"{key} {value!r}" for key, value in header["layout"].items() if value),
        trained_on=seen,
        settings=", ".join(f"{key} {value}" for key, value in settings.items() if value) or "not recorded",
        drift=f"{float(prompt.drift.mean()):.3g}",
        versions=", ".join(f"{key} {value}" for key, value in (header.get("versions") or {}).items()) or "not recorded",
        metrics=_numbers(metrics) if metrics else None,
        snippet=code.rstrip(),
    )


def _numbers(metrics: dict) -> dict:
    """One form for both kinds of result."""
    try:
        if "delta" in metrics:  # a cell of the workflow
            sides = {side: (metrics[side]["correct"], metrics[side]["wilson"]) for side in ("before", "after")}
            points, (low, high), p = (
                metrics["delta"]["points"],
                metrics["delta"]["newcombe"],
                metrics["mcnemar"]["p_exact"],
            )
        else:
            sides = {side: (metrics[side], metrics["wilson"][side]) for side in ("before", "after")}
            points, (low, high), p = metrics["points"], metrics["interval"], metrics["p"]
        n = metrics["n"]
        return {
            "n": n,
            "where": metrics.get("dataset"),
            "sides": {
                side: {
                    "correct": correct,
                    "accuracy": f"{100 * correct / n:.1f}",
                    "low": f"{100 * wilson[0]:.1f}",
                    "high": f"{100 * wilson[1]:.1f}",
                }
                for side, (correct, wilson) in sides.items()
            },
            "points": f"{points:+.1f}",
            "low": f"{low:+.1f}",
            "high": f"{high:+.1f}",
            "p": f"{p:.2g}",
        }
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"these metrics are neither a cell's metrics.json nor what `embedgrad evaluate --json` prints ({error!r})."
        ) from None
