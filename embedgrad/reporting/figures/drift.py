"""How far each token of a prompt moved: one bar per token, in the order of the prompt."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import AFTER, GREY, styled


@styled()
def drift(tokens: Sequence[str], drifts: Sequence[float]) -> Figure:
    """Bars of ‖v − e‖ / ‖e‖.

    Args:
        tokens: the k tokens as text.
        drifts: (k,) relative displacement of each.
    """
    figure = Figure(figsize=(5.2, 0.9 + 0.19 * len(tokens)), layout="constrained")
    axes = figure.subplots()
    places = range(len(tokens))
    axes.barh(places, drifts, height=0.7, color=AFTER)
    axes.set_yticks(places, [_shown(token) for token in tokens])
    axes.invert_yaxis()
    mean = sum(drifts) / len(drifts)
    axes.axvline(mean, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(xlabel="relative displacement ‖v − e‖ / ‖e‖ (dotted: mean)")
    axes.margins(y=0.01)
    return figure


def _shown(token: str) -> str:
    """A token as a label: a leading space shown, dollar signs kept from starting mathematics."""
    shown = repr(token)[1:-1].replace("$", r"\$")
    return shown.replace(" ", "␣", 1) if token.startswith(" ") else shown
