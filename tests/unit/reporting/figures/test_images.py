"""Figures inside the page: the same drawing in fewer bytes, and a URL that needs no base64."""

import re
from base64 import b64decode
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from embedgrad.reporting.figures.drawing import as_png, as_svg
from embedgrad.reporting.figures.images import LONG, as_image, shorter

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


@pytest.fixture
def figure():
    figure = Figure()
    axes = figure.subplots()
    axes.plot(np.linspace(0, 1, 50), np.sin(np.linspace(0, 9, 50)), marker="o", label='50 % & "more" <#1>')
    axes.set_title("Don't round 0.015625")
    axes.legend()
    return figure


def test_the_drawing_is_the_same_to_a_hundredth_of_a_point(figure):
    whole = as_svg(figure).decode()
    short = shorter(whole)
    assert len(short) < 0.9 * len(whole)
    drawn = re.sub(r"<metadata>.*</metadata>", "", whole, flags=re.DOTALL)
    pairs = list(zip(ElementTree.fromstring(drawn).iter(), ElementTree.fromstring(short).iter(), strict=True))
    assert len(pairs) > 100
    for one, other in pairs:
        assert one.tag == other.tag
        assert one.attrib.keys() == other.attrib.keys()
        for name, text in one.attrib.items():
            if name in ("d", "x", "y", "transform"):
                assert NUMBER.sub("", other.attrib[name]).split() == NUMBER.sub("", text).split()
                wanted, found = (
                    [float(number) for number in NUMBER.findall(each)] for each in (text, other.attrib[name])
                )
                assert found == pytest.approx(wanted, abs=0.0051)
            else:
                assert other.attrib[name].split() == text.split()
        if "scale(" in one.attrib.get("transform", ""):
            scale = re.search(r"scale\([^)]*\)", one.attrib["transform"])[0]
            assert scale in other.attrib["transform"]


def test_the_address_holds_nothing_that_ends_it(figure):
    address = as_image(figure)
    kind, _, body = address.partition(",")
    assert kind == "data:image/svg+xml"
    assert not set(body) & set("#<>\"'&\n")
    assert unquote(body) == shorter(as_svg(figure).decode())


def test_a_drawing_of_very_many_marks_holds_its_pixels_in_the_size_of_the_figure():
    figure = Figure(figsize=(7, 3.5))
    figure.subplots().scatter(np.linspace(0, 1, 3000), np.sin(np.linspace(0, 99, 3000)))
    assert len(shorter(as_svg(figure).decode())) > 2 * LONG
    address = as_image(figure)
    kind, _, body = address.partition(",")
    assert kind == "data:image/svg+xml"
    assert len(address) < LONG
    drawn = ElementTree.fromstring(unquote(body))
    assert (drawn.attrib["width"], drawn.attrib["height"]) == ("504pt", "252pt")
    (picture,) = drawn
    kind, _, pixels = picture.attrib["href"].partition(",")
    assert kind == "data:image/png;base64"
    assert b64decode(pixels) == as_png(figure)
