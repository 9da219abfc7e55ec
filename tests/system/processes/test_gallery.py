"""The gallery of prompts: what it says, that it is safe, and how it looks to a browser."""

import html
import re
import shutil

import pytest
from chromium import requests_of
from commands import refused, tuning

from embedgrad.cli import main
from embedgrad.reporting.page.gallery import write_gallery
from embedgrad_core import PromptEmbedding, load_model

HOSTILE = "Is <script>window.hacked = 1</script> good?"


@pytest.fixture(scope="module")
def run(home, prompt_file, tmp_path_factory):
    """Two cells of one model, the second one's prompt a hostile text; a sweep's prompt, which does not belong."""
    folder = tmp_path_factory.mktemp("gallery") / "results" / "mine"
    for cell in ("reviews/tiny/seed0", "sensitivity/reviews/tiny/lr0.1"):
        (folder / cell).mkdir(parents=True)
        shutil.copy(prompt_file, folder / cell / "prompt.safetensors")
    words = [
        HOSTILE if word == "Is it good?" else word
        for word in tuning(home, folder / "other/tiny/seed1/prompt.safetensors")
    ]
    assert main([str(word) for word in [*words, "--epochs", 1]]) == 0
    return folder


@pytest.fixture(scope="module")
def page(run):
    out = run.parent / "gallery.html"
    assert main(["gallery", "--results", str(run), "--out", str(out)]) == 0
    return out


def rows_of(text, heading):
    """The cells of the first table under a heading, tags and escapes taken out."""
    table = text.partition(f"<h3>{heading}</h3>")[2].partition("</table>")[0].partition("<tbody>")[2]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in table.split("</tr>") if "<td" in row]
    return [[html.unescape(re.sub("<[^>]+>", "", cell)).strip() for cell in row] for row in cells]


def test_the_last_block_is_what_the_model_says_next(home, run, page):
    """The page's own words against the model, run plainly on the text's ids and on the optimised vectors."""
    import torch

    text = page.read_text()
    part = text[text.index(">reviews/tiny/seed0 <span") :]
    frozen = load_model(str(home / "model"), log=lambda line: None)
    prompt = PromptEmbedding.load(run / "reviews/tiny/seed0/prompt.safetensors", frozen)
    with torch.no_grad():
        own = {
            "text": frozen.network(input_ids=torch.tensor([prompt.slot.prompt_ids])).logits[0].argmax(dim=1),
            "optimised": frozen.network(inputs_embeds=prompt.vectors[None]).logits[0].argmax(dim=1),
        }
    shown = rows_of(part, "What follows, by layer")
    assert len(shown) == prompt.slot.k
    assert {len(row) for row in shown} == {1 + 2 * 2}, "a position, and two sides of two blocks"
    wanted = [
        [
            repr(frozen.tokenizer.decode([int(own[side][place])]))[1:-1].replace(" ", "␣")
            for side in ("text", "optimised")
        ]
        for place in range(prompt.slot.k)
    ]
    plain = [
        place
        for place in range(prompt.slot.k)
        if all(word.isprintable() and "\\" not in word for word in wanted[place])
    ]
    assert len(plain) > prompt.slot.k / 2
    assert [shown[place][-2:] for place in plain] == [wanted[place] for place in plain]
    moved = rows_of(part, "Where the vectors went")
    assert [float(row[1]) for row in moved] == pytest.approx([float(one) for one in prompt.drift], abs=6e-4)


def test_all_cells_are_there_and_nothing_else(page):
    text = page.read_text()
    assert re.findall(r'<h2>(\S+) <span class="run">(\w+)', text) == [
        ("other/tiny/seed1", "model"),
        ("reviews/tiny/seed0", "model"),
    ]
    assert "lr0.1" not in text
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_equal_prompts_give_equal_bytes(run, page):
    files = [run / cell / "prompt.safetensors" for cell in ("other/tiny/seed1", "reviews/tiny/seed0")]
    for name in ("a.html", "b.html"):
        assert (
            main(["gallery", *map(str, files), "--layers", "1", "--nearest", "2", "--out", str(run.parent / name)]) == 0
        )
    assert (run.parent / "a.html").read_bytes() == (run.parent / "b.html").read_bytes()
    assert "block 2" in (run.parent / "a.html").read_text()
    assert "block 1" not in (run.parent / "a.html").read_text()
    names = re.findall(r"<h2>(\S+) <span", (run.parent / "a.html").read_text())
    assert names == ["other/tiny/seed1/prompt.safetensors", "reviews/tiny/seed0/prompt.safetensors"]


def test_a_prompt_that_never_moved_moved_towards_nothing(tmp_path):
    same = {"token": "a", "p": 0.5}
    row = {
        "piece": "a",
        "drift": 0.0,
        "near": [{"token": "a", "cosine": 1.0}],
        "kept": True,
        "towards": [],
        "random": None,
    }
    entry = {"name": "x", "model": "m", "text": "a", "layers": [1], "same_lens": 1.0}
    entry["positions"] = [row | {"lens": [{"before": same, "after": same}]}]
    write_gallery([entry], "r", tmp_path / "g.html")
    assert "1 of 1 vectors are still nearest to their own token; 0 moved towards" in (tmp_path / "g.html").read_text()


def test_refusals(home, prompt_file, tmp_path, capsys):
    out = ["--out", tmp_path / "g.html"]
    refused(capsys, ["gallery", *out], "give prompt files, or the results of a run")
    refused(capsys, ["gallery", "--results", tmp_path, *out], "no */*/seed*/prompt.safetensors in it")
    (tmp_path / "p.safetensors").write_bytes(prompt_file.read_bytes()[:-9])
    refused(capsys, ["gallery", tmp_path / "p.safetensors", *out], "p.safetensors: not a readable safetensors file")
    assert not (tmp_path / "g.html").exists()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_scrolling_sideways_errors_or_requests(browser, page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    wide, shown = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert wide <= shown
    assert browser.get_log("browser") == []
    assert requests_of(browser, page) == []
    assert browser.execute_script("return window.hacked === undefined")
