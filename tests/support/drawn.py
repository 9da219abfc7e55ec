"""What a figure shows: its visible texts and the places they take."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def texts(figure) -> list[tuple[str, object]]:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    unseen = set()  # ticks beyond the ends of an axis have labels that are never drawn
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            unseen |= {label for tick in beyond for label in (tick.label1, tick.label2)}
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    found = [text for text in found if text not in unseen]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in found]


def apart(figure) -> list[str]:
    """The texts of a figure, none of which overlaps another or leaves the page."""
    boxes, page = texts(figure), figure.bbox
    for told, box in boxes:
        assert page.x0 <= box.x0, told
        assert box.x1 <= page.x1, told
        assert page.y0 <= box.y0, told
        assert box.y1 <= page.y1, told
    for (one, box), (other, rival) in itertools.combinations(boxes, 2):
        assert not box.overlaps(rival), (one, other)
    return [told for told, _ in boxes]
