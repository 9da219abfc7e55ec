"""``report.html``: one page that shows what holds and what does not; no network, no foreign script."""

from embedgrad.reporting.page.render import write_page
