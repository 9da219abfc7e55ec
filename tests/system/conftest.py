"""What the tiers of processes share: a browser, where there is one."""

import shutil

import pytest
from chromium import PROGRAMS, open_chromium


@pytest.fixture(scope="module")
def browser():
    """Chromium; its console and requests are those of all tests of a module."""
    pytest.importorskip("selenium.webdriver")
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip(f"{' and '.join(PROGRAMS)} are not installed")
    window = open_chromium()
    yield window
    window.quit()
