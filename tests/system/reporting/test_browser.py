"""The error browser in a real browser: what it shows of many answers and of hostile ones, by keys and without script."""

import random
import time

import pytest
from chromium import requests_of
from forged import of_one_cell, page_of
from many_answers import many_answers
from reporting_samples import count

from embedgrad.reporting.results.cells import read_cells
from embedgrad_core.files import pack_steps, read_jsonl, write_jsonl

CELLS, ITEMS = 5, 1000
ENDLESS = "word " * 20_000
SCRIPT = "</template></script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
HOSTILE = [SCRIPT, "\u202eabc\u2066def\u202c \x00\x1b[2J", "\ud800 half", ENDLESS, "{{7*7}}${7*7}", "__proto__", ""]


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Ten thousand answers: folder and page."""
    folder = many_answers(tmp_path_factory.mktemp("many"), CELLS, ITEMS)
    return folder, page_of(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """One cell of 64 items; hostile answers and their opposites first, the rest with the entropy of each token."""
    folder = of_one_cell(tmp_path_factory.mktemp("few"))
    results = folder / "results"
    home = results / "sentiment/tiny-0.2m"
    for path, texts in ((home / "before.jsonl", HOSTILE), (home / "seed0/after.jsonl", HOSTILE[::-1])):
        rows = [{key: value for key, value in row.items() if key != "check"} for row in read_jsonl(path)]
        for place, row in enumerate(rows):
            if place < len(texts):
                row |= {"output": texts[place], "reason": SCRIPT, "extracted": row["extracted"] and texts[place][:50]}
            else:
                # Three tokens of one character each, one of which takes two of UTF-16, then an end token.
                steps = pack_steps([1, 0, 1, 1, 0], [0.5, 3.0, 0.1, place / 10, 1.0])
                row |= {"output": "a😀b", "n_tokens": 5, "steps": steps, "stop": "eos"}
        write_jsonl(path, rows)
    count(results, read_cells(folder / "cells.tsv")[0])
    return folder, page_of(folder)


def opened(browser, page, cell="0"):
    """The page with the answers of a cell unfolded."""
    browser.get(page.as_uri())
    browser.execute_script(f"filter.elements.cell.value = '{cell}'; browse.open = true")
    wait(browser, "return state.all.length > 0 && rows.childElementCount > 0")


def wait(browser, script):
    for _ in range(200):
        if browser.execute_script(script):
            return
        time.sleep(0.05)
    raise AssertionError(f"not in ten seconds: {script}")


def chosen(browser, **values):
    """The ids that are left after a filter."""
    browser.execute_script("filter.reset()")
    browser.execute_script(
        "for (const [name, value] of Object.entries(arguments[0])) filter.elements[name].value = value; update()",
        values,
    )
    return browser.execute_script("return state.found.map((item) => item.id)")


def test_ten_thousand_answers_are_packed_until_they_are_asked_for_and_few_are_in_the_document(browser, many):
    _, page = many
    browser.get_log("browser")
    browser.get(page.as_uri())
    size = "return document.querySelectorAll('#answers *').length"
    assert browser.execute_script("return unpacked.size") == 0
    assert browser.execute_script(size) < 100
    opened(browser, page)
    assert browser.execute_script("return unpacked.size") == 3, "items, before and after of one cell"
    rows = "return [...document.querySelectorAll('#rows [role=option]')].map((row) => Number(row.ariaPosInSet))"
    assert len(browser.execute_script(rows)) < 40
    browser.execute_script("list.scrollTop = list.scrollHeight")
    wait(browser, f"return document.querySelector('#rows [aria-posinset=\"{ITEMS}\"]') !== null")
    assert len(browser.execute_script(rows)) < 40
    opened(browser, page, "all")
    assert browser.execute_script("return state.all.length") == CELLS * ITEMS
    assert len(browser.execute_script(rows)) < 40
    assert browser.execute_script(size) < 1000, "one item's tokens and the rows in sight"
    assert browser.get_log("browser") == []
    assert requests_of(browser, page) == []


def test_filters_leave_what_the_files_say(browser, many):
    folder, page = many
    home = folder / "results/parity/model-0"
    pairs = list(zip(read_jsonl(home / "before.jsonl"), read_jsonl(home / "seed0/after.jsonl"), strict=True))
    opened(browser, page)

    def ids(wanted):
        found = [two["id"] for one, two in pairs if wanted(one, two)]
        assert 0 < len(found) < len(pairs), "a filter that leaves all or nothing shows nothing"
        return found

    assert chosen(browser) == [two["id"] for _, two in pairs]
    for name, was, now in (("won", 0, 1), ("lost", 1, 0), ("right", 1, 1), ("wrong", 0, 0)):
        wanted = ids(lambda one, two, was=was, now=now: (one["correct"], two["correct"]) == (was, now))
        assert chosen(browser, change=name) == wanted
        told = f"return document.querySelector('[data-count={name}]').textContent"
        assert browser.execute_script(told) == str(len(wanted))
    assert chosen(browser, before="loop") == ids(lambda one, _: one["failure"] == "loop")
    both = ids(lambda one, two: one["failure"] == "loop" and two["failure"] == "no_answer")
    assert chosen(browser, before="loop", after="no_answer") == both
    bounds = {"side": "before", "low": "0.9", "high": "1.1"}
    found = ids(lambda one, _: 0.9 <= round(one["entropy_bits"], 3) <= 1.1)
    assert chosen(browser, **bounds) == found
    word = pairs[17][0]["output"].split()[3].upper()
    found = ids(lambda *both: any(word.lower() in row["output"] for row in both))
    assert chosen(browser, text=word) == found
    highest = max(pairs, key=lambda pair: pair[1]["entropy_bits"])[1]["id"]
    assert chosen(browser, order="after")[0] == highest
    assert chosen(browser, text="no such word at all") == []
    assert browser.execute_script("return [shownItem.hidden, rows.childElementCount]") == [True, 0]


@pytest.mark.faults
def test_hostile_answers_are_text_in_the_list_and_in_the_item(browser, few):
    folder, page = few
    outputs = {row["id"]: row["output"] for row in read_jsonl(folder / "results/sentiment/tiny-0.2m/before.jsonl")}
    browser.get_log("browser")
    opened(browser, page)
    for place in range(2 * len(HOSTILE)):
        browser.execute_script(f"choose({place})")
        identity, text = browser.execute_script(
            "return [state.found[state.at].id, shownItem.querySelector('.output').textContent]"
        )
        control = browser.execute_script(
            "return /[\\u0000-\\u0008\\u202a-\\u202e\\u2066-\\u2069]/.test(shownItem.textContent)"
        )
        assert not control, "what steers the text around it is shown as a sign"
        if outputs[identity] in (SCRIPT, "{{7*7}}${7*7}", "__proto__"):
            assert text == outputs[identity]
        if outputs[identity] == ENDLESS:
            assert text == ENDLESS[:20_000]
            assert "80,000 more characters" in browser.execute_script("return shownItem.textContent")
    shown = "return [window.hacked === undefined, document.scripts.length, frames.length, document.images.length]"
    assert browser.execute_script(shown)[:3] == [True, 1, 0]
    images = browser.execute_script("return [...browse.querySelectorAll('img, script, iframe, a')].length")
    assert images == 0
    assert browser.get_log("browser") == []


def test_tokens_are_shaded_by_their_own_entropy(browser, few):
    _, page = few
    opened(browser, page)
    browser.execute_script("choose(state.found.findIndex((item) => item.id.endsWith('-30')))")
    after = "return [...shownItem.querySelectorAll('.output')[1].children]"
    spans = f"{after}.map((one) => [one.textContent, one.title, one.className])"
    # The token that wrote nothing belongs to the character that the next one finished; the highest entropy counts.
    wanted = [["a", "0.5 bits", "e1"], ["😀", "3.0 bits", "e6"], ["b", "3.0 bits", "e6"]]
    assert browser.execute_script(spans) == wanted
    assert "that it ends here: 1.0 bits" in browser.execute_script("return shownItem.textContent")
    browser.execute_script("shownItem.querySelectorAll('input')[1].click()")
    assert browser.execute_script(spans) == []
    assert browser.execute_script("return shownItem.querySelectorAll('.output')[1].textContent") == "a😀b"


def common_words(left, right):
    """The length of a longest common sequence, by the textbook."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, one in enumerate(left):
        for j, two in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if one == two else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def test_what_is_not_marked_is_a_longest_common_sequence_of_words(browser, few):
    _, page = few
    chance = random.Random(0)
    browser.get(page.as_uri())
    for _ in range(60):
        left, right = (" ".join(chance.choices("aé悲.7", k=chance.randrange(12))) for _ in range(2))
        found = browser.execute_script("return differences(arguments[0], arguments[1])", left, right)
        kept = []
        for text, ranges in zip((left, right), found, strict=True):
            marked = {place for one in ranges for place in range(one["from"], one["to"])}
            kept.append([letter for place, letter in enumerate(text) if place not in marked and letter != " "])
        assert kept[0] == kept[1]
        assert len(kept[0]) == common_words(left.split(), right.split())
    words = ["a b " * 2000, "b c " * 2000]
    assert browser.execute_script("return differences(...arguments)", *words) is None, "too much work is not begun"


def test_keys_walk_through_the_list_and_every_control_has_a_name(browser, few):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    _, page = few
    opened(browser, page)
    items = browser.find_element(By.ID, "list")
    at = "return [state.at, list.getAttribute('aria-activedescendant'), document.querySelector('[aria-selected=true]').id]"
    for key, place in ((Keys.ARROW_DOWN, 1), (Keys.PAGE_DOWN, 11), (Keys.ARROW_UP, 10), (Keys.END, 63), (Keys.HOME, 0)):
        items.send_keys(key)
        assert browser.execute_script(at) == [place, f"row-{place}", f"row-{place}"]
    for control in browser.find_elements(By.CSS_SELECTOR, "#browse :is(input, select, button, [role=listbox])"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    next_one = browser.find_element(By.XPATH, "//article//button[.='Next']")
    next_one.send_keys(Keys.ENTER)
    assert browser.execute_script("return [state.at, document.activeElement.textContent]") == [1, "Next"]


def test_a_link_in_a_cell_opens_its_answers(browser, many):
    _, page = many
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('a.browse')[3].click()")
    wait(browser, "return state.all.length > 0")
    assert browser.execute_script("return [state.all[0].cell, browse.open]") == ["parity · model-3", True]


def test_without_script_a_line_says_where_the_answers_are(browser, few):
    _, page = few
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(page.as_uri())
        shown = browser.find_element("tag name", "body").text
        assert "This list needs JavaScript" in shown
        assert "Browse 64" not in shown
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_of_it_is_wider_than_the_window(browser, few, width):
    _, page = few
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    opened(browser, page)
    for place in range(8):
        browser.execute_script(f"choose({place})")
        wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert wide <= shown
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
