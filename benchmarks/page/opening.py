"""How long the report page takes to open in a real browser with thousands of answers, and to show and filter them.

    python benchmarks/page/opening.py [--pairs 5000] [--words 120] [--repeats 5] [--page FILE]

Prints the median milliseconds from the navigation to the load event, from opening the list of answers to its first rows, of one
filter, of unpacking all cells, and of choosing the longest item; and how many elements the document has then.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/support"), str(ROOT / "tests/support/samples")]

from chromium import open_chromium  # noqa: E402
from forged import page_of  # noqa: E402
from many_answers import many_answers  # noqa: E402

# Each step, and what there is to see when it is done.
STEPS = {
    "first rows": ("browse.open = true", "state.all.length > 0 && rows.childElementCount > 1"),
    "filter: lost": ("filter.elements.change.value = 'lost'; update()", "true"),
    "all cells": ("filter.reset(); filter.elements.cell.value = 'all'; loadCell()", "state.all.length === total"),
    "containing": ("filter.elements.text.value = 'banana'; update()", "true"),
    "longest item": (
        "filter.reset(); filter.elements.order.value = 'tokens'; update()",
        "shownItem.childElementCount > 1",
    ),
}
# Waits for the paint after it, too.
TIMED = """
const done = arguments[0], total = cells.reduce((sum, cell) => sum + cell.n, 0), begun = performance.now();
%s;
const look = () => (%s) ? requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun))) : setTimeout(look);
look();
"""


def measured(page: Path, repeats: int) -> tuple[dict[str, float], int]:
    """Median milliseconds of each step, and the elements of the document after the last."""
    browser = open_chromium()
    found: dict[str, list[float]] = {"load event": [], **{name: [] for name in STEPS}}
    for _ in range(repeats):
        browser.get("about:blank")
        browser.get(page.as_uri())
        ended = "return performance.getEntriesByType('navigation')[0].loadEventEnd"
        found["load event"].append(browser.execute_script(ended))
        for name, (action, seen) in STEPS.items():
            found[name].append(browser.execute_async_script(TIMED % (action, seen)))
    elements = browser.execute_script("return document.querySelectorAll('*').length")
    browser.quit()
    return {name: statistics.median(values) for name, values in found.items()}, elements


def main() -> None:
    """Make a run and its page, unless one is given; open it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pairs", type=int, default=5000, help="answers before and after; ten thousand in all by default"
    )
    parser.add_argument("--words", type=int, default=120, help="of an answer before; after has a quarter")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--page", type=Path, help="a report.html that is there already")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        page = arguments.page or page_of(many_answers(Path(folder), items=arguments.pairs // 5, words=arguments.words))
        times, elements = measured(page.resolve(), arguments.repeats)
        print(f"{page.stat().st_size / 1e6:.1f} MB, {elements:,} elements at the end")
    for name, milliseconds in times.items():
        print(f"{name:14s} {milliseconds:7.0f} ms")


if __name__ == "__main__":
    main()
