"""A real browser without a window."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PROGRAMS = ("chromium", "chromedriver")


def open_chromium() -> "Chrome":
    """Chromium, which keeps its console and its requests for the test to read; the caller quits it."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    chromium, driver = map(shutil.which, PROGRAMS)
    options.binary_location = chromium
    quiet = ("background-networking", "component-update", "sync", "gpu", "quic")
    for flag in ("--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def requests_of(browser: "Chrome", page: Path) -> list[str]:
    """Addresses that were asked for beside the page's own and data in it, since this was last asked."""
    import json

    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith("data:") and url != page.as_uri()]
