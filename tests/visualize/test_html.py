"""A page is one file, escapes what it is given, and says where there is no number."""

from __future__ import annotations

import base64
import re

import cv2
import numpy as np
import pytest

from pose_hrnet.visualize import html

EVIL = "<script>alert('x')</script>\"&"


def test_everything_is_escaped_and_nothing_comes_from_elsewhere():
    picture = html.Picture(np.zeros((20, 30, 3), np.uint8), EVIL)
    blocks = (
        html.table([EVIL, EVIL], [[EVIL, html.Cell(EVIL)]], caption=EVIL),
        html.figure("<svg></svg>", EVIL, [("c", EVIL)]),
        html.tiles([(EVIL, EVIL, EVIL)]),
        html.facts([(EVIL, EVIL)]),
        html.heading(EVIL),
        html.paragraph(EVIL),
        html.sentences([EVIL]),
        html.gallery([picture]),
    )
    page = html.page(EVIL, EVIL, blocks, [html.Section(EVIL, blocks)])
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert not re.search(r"url\(|@import|https?://", page)
    assert "default-src 'none'" in page


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_a_dash(nothing):
    assert html.number(nothing) == html.Cell("\N{EN DASH}", None)
    row = html.table(["a", "b"], [["x", html.number(nothing)]])
    assert 'data-value=""' in row
    assert "nan" not in row.lower().replace("en dash", "")


def test_numbers_have_their_digits_and_their_value():
    assert html.number(0.12345) == html.Cell("0.123", 0.12345)
    assert html.number(0.5, 1, sign="+") == html.Cell("+0.5", 0.5)
    table = html.table(["name", "n"], [["b", 12345], ["a", html.number(1.0)]])
    assert '<td data-value="12345">12,345</td>' in table
    assert table.count('data-numeric="1"') == 1
    assert "<table>" in table
    words = html.table(["name", "text"], [["x", "y z"], ["y", "z " + 100 * "a "]])
    assert words.startswith('<div class="wide"><table><thead>')  # it can be broken
    assert words.count("<td class=words>") == 2
    for broad in (120 * "a", html.Cell(60 * "1 ")):
        assert "<table class=broad>" in html.table(["name", "text"], [["name", "x"], ["y", broad]])


def test_pictures_are_inside():
    image = np.full((40, 60, 3), (250, 10, 20), np.uint8)
    found = html.gallery([html.Picture(image, "red")])
    data = base64.b64decode(re.search(r"base64,([^\"]+)", found)[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert decoded.shape == image.shape
    np.testing.assert_allclose(decoded.mean((0, 1)), (250, 10, 20), atol=4)
    assert 'width="60" height="40"' in found
