"""Test results for a model card: whose they are, and one form for both kinds."""

from embedgrad_core.files import UserError, markdown_escape
from embedgrad_core.model.frozen import FrozenModel
from embedgrad_core.prompt import PromptEmbedding


def card_numbers(
    metrics: dict, frozen: FrozenModel, prompt: PromptEmbedding, prompt_sha256: str | None = None, name: str = "metrics"
) -> dict:
    """What the card shows of a result, checked.

    Args:
        metrics: a cell's ``metrics.json``, or what ``embedgrad evaluate --json`` prints.
        frozen: the base model.
        prompt: what is exported.
        prompt_sha256: hash of its file, by which a cell knows it.
        name: how messages call the metrics.

    Raises:
        UserError: metrics of neither kind, of no item, or of another prompt or model; says which.
    """
    try:
        return (
            _cell(metrics, frozen, prompt_sha256, name) if "delta" in metrics else _own(metrics, frozen, prompt, name)
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{name}: neither a cell's metrics.json nor what this version's `embedgrad evaluate --json` prints "
            f"({type(error).__name__}: {error}); make it again."
        ) from None


def _cell(metrics: dict, frozen: FrozenModel, prompt_sha256: str | None, name: str) -> dict:
    """A cell of the workflow: its test half is held out by construction, its prompt known by the file's hash."""
    cell, after = metrics["cell"], metrics["run"]["after"] or {}
    theirs = metrics["prompt"]["sha256"]
    if prompt_sha256 is None or not theirs:
        raise UserError(f"{name}: nothing says which prompt file it was measured with; give a cell's own prompt file.")
    _check(
        theirs == prompt_sha256, name, "prompt", f"its file has sha256 {theirs[:12]}…, this one {prompt_sha256[:12]}…"
    )
    _check_model((after.get("model") or {}), frozen, name)
    sides = {side: (metrics[side]["correct"], metrics[side]["wilson"]) for side in ("before", "after")}
    delta = metrics["delta"]
    numbers = _numbers(metrics["n"], sides, delta["points"], delta["newcombe"], metrics["mcnemar"]["p_exact"], name)
    sentence = f"Measured on {numbers['n']} held-out items of {markdown_escape(cell['dataset'])}"
    return numbers | {"data": cell["dataset"], "sentence": sentence}


def _own(metrics: dict, frozen: FrozenModel, prompt: PromptEmbedding, name: str) -> dict:
    """What evaluate found on data of one's own."""
    measured = metrics["measured"]
    own = prompt.content_sha256()
    _check(
        measured["prompt"] == own,
        name,
        "prompt",
        f"its vectors have sha256 {measured['prompt'][:12]}…, these {own[:12]}…",
    )
    _check_model(measured["model"], frozen, name)
    sides = {side: (metrics[side], metrics["wilson"][side]) for side in ("before", "after")}
    numbers = _numbers(metrics["n"], sides, metrics["points"], metrics["interval"], metrics["p"], name)
    where = f" of {markdown_escape(measured['data'])}" if measured["data"] else ""
    seen, left_out = measured["seen"], metrics["left_out"]
    if seen is None:
        sentence = f"{numbers['n']} items{where}; the prompt does not say whether it was trained on some of them"
    elif seen:
        sentence = f"{numbers['n']} items{where}, **{seen} of which the prompt was trained on**: no held-out result"
    else:
        sentence = f"{numbers['n']} held-out items{where}"
        sentence += f" ({left_out} more, which the prompt was trained on, are left out)" if left_out else ""
    return numbers | {"data": measured["data"], "sentence": f"Measured on {sentence}"}


def _check(fits: bool, name: str, what: str, why: str) -> None:
    if not fits:
        raise UserError(
            f"{name}: these metrics are another {what}'s ({why}); measure this one, or leave --metrics out."
        )


def _check_model(theirs: dict, frozen: FrozenModel, name: str) -> None:
    resolved = theirs.get("resolved")
    known = {resolved, frozen.resolved}.isdisjoint({None, "", "unknown"})
    _check(not known or resolved == frozen.resolved, name, "model", f"{theirs.get('name')} at {resolved}")


def _numbers(n: int, sides: dict, points: float, interval: list[float], p: float, name: str) -> dict:
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UserError(f"{name}: key 'n' is {n!r}; results of at least one item are needed.")
    for side, (correct, _) in sides.items():
        if isinstance(correct, bool) or not isinstance(correct, int) or not 0 <= correct <= n:
            raise UserError(f"{name}: {correct!r} right answers {side} of {n} items cannot be; measure again.")
    low, high = interval
    return {
        "n": n,
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
