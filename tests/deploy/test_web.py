"""The page of `pose-hrnet serve` in headless Chromium: what a reader does, against the server."""

from __future__ import annotations

import base64
import csv
import io
import json

import numpy as np
import PIL.Image
import pytest

from pose_hrnet.deploy.server.app import WEB
from pose_hrnet.inference.written import COLUMNS
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.visualize.poses import LEFT, PERSONS, RIGHT, side_colors
from tests.helpers import page_server
from tests.helpers.pose_page import (
    ALL_DONE,
    GREY,
    READY,
    add,
    near,
    saved,
    seen_at,
    settle,
    slide,
    text,
)

LEFT_SHOULDER, RIGHT_HIP = map(COCO17.keypoint_names.index, ("left_shoulder", "right_hip"))
HOSTILE = "=1+1,<img src=x onerror=\"document.title='taken'\">.jpg"


@pytest.fixture(scope="module")
def estimator():
    return page_server.estimator()


def test_a_photograph_is_posed_and_drawn(tab, photograph, estimator):
    add(tab, photograph)
    assert text(tab, "#count") == "2"
    assert "320 × 240 · 2 persons" in text(tab, "#facts")
    assert text(tab, "#persons li").split("\n")[:2] == ["Person 1", "17 of 17 keypoints"]
    assert tab.ask("document.getElementById('canvas').ariaLabel") == (
        "people.jpg, with the skeletons of 2 persons"
    )
    assert tab.ask("document.getElementById('live').textContent") == "people.jpg: 2 persons found."
    for person, points in enumerate(estimator(photograph).keypoints_image):
        for k, color in enumerate(side_colors(COCO17, PERSONS[person])):
            if k != page_server.UNSURE_KEYPOINT:
                assert near(seen_at(tab, points[k]), color), COCO17.keypoint_names[k]
    assert near(seen_at(tab, (2, 2)), GREY, within=4)


def test_a_photograph_stands_upright_as_its_exif_says(tab, tmp_path, estimator):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photograph = saved(tmp_path / "turned.jpg", exif=exif)
    add(tab, photograph)
    assert "240 × 320" in text(tab, "#facts")
    points = estimator(photograph).keypoints_image[1]
    assert near(seen_at(tab, points[LEFT_SHOULDER], (240, 320)), LEFT)
    assert tab.ask("(c => c.clientHeight > c.clientWidth)(document.getElementById('canvas'))")


@pytest.mark.parametrize(
    "event",
    [
        "DragEvent('drop', {dataTransfer: carried})",
        "ClipboardEvent('paste', {clipboardData: carried})",
    ],
)
def test_photographs_are_dropped_and_pasted(tab, photograph, event):
    data = base64.b64encode(photograph.read_bytes()).decode()
    tab.ask(
        f"(() => {{ const bytes = Uint8Array.from(atob('{data}'), c => c.charCodeAt());"
        "const carried = new DataTransfer();"
        "carried.items.add(new File([bytes], 'carried.jpg', {type: 'image/jpeg'}));"
        f"document.dispatchEvent(new {event}); }})()"
    )
    tab.wait(ALL_DONE.format(1))
    assert text(tab, "#facts b") == "carried.jpg"


def test_a_drop_without_a_file_is_said(tab):
    tab.ask("document.dispatchEvent(new DragEvent('drop', {dataTransfer: new DataTransfer()}))")
    assert text(tab, "#notice p").startswith("No file came with that")
    tab.click("[data-act=dismiss]")
    assert tab.ask("document.getElementById('notice').hidden")


def test_sliders_act_at_once_and_ask_nothing(tab, photograph, estimator):
    add(tab, photograph)
    points = estimator(photograph).keypoints_image
    asked = len(tab.requested)
    slide(tab, "#person-score", 0.6)
    assert text(tab, "#count") == "1 of 2"
    assert near(seen_at(tab, points[0, LEFT_SHOULDER]), LEFT)
    assert near(seen_at(tab, points[1, LEFT_SHOULDER]), GREY, within=4)
    assert "1 of 2 shown" in tab.ask("document.getElementById('person-score').ariaValueText")
    wrist = points[0, page_server.UNSURE_KEYPOINT]
    assert not near(seen_at(tab, wrist), GREY)
    slide(tab, "#keypoint-score", 0.5)
    assert near(seen_at(tab, wrist), GREY, within=4)
    assert "16 of 17 keypoints" in text(tab, "#persons li")
    slide(tab, "#person-score", 1)
    assert text(tab, "#nobody") == "All are below the threshold."
    assert len(tab.requested) == asked


def test_controls_that_the_browser_brings_back_act(tab, web_server, photograph):
    slide(tab, "#person-score", 0.6)
    tab.go(web_server[1] + "healthz")
    tab.back()
    tab.wait(f"{READY} && document.getElementById('person-score').value === '0.6'")
    add(tab, photograph)
    tab.wait("document.getElementById('count').textContent === '1 of 2'")
    assert text(tab, "output[for=person-score]") == "0.60"


def test_the_photograph_is_dimmed_and_boxes_are_drawn(tab, photograph, estimator):
    add(tab, photograph)
    tab.click("input[value=off] + span")
    tab.click("#boxes")
    settle(tab)
    assert max(seen_at(tab, (2, 2))) < 30
    left, top = estimator(photograph).boxes_xyxy[0, :2]
    assert near(seen_at(tab, (left, top)), PERSONS[0])


def test_a_person_that_is_pointed_at_stands_out(tab, photograph, estimator):
    add(tab, photograph)
    points = estimator(photograph).keypoints_image
    tab.ask("document.querySelector('#persons button').focus()")
    settle(tab)
    assert near(seen_at(tab, points[0, RIGHT_HIP]), RIGHT)
    assert not near(seen_at(tab, points[1, RIGHT_HIP]), RIGHT)
    tab.press("Enter")
    assert tab.ask("document.querySelector('#persons button').ariaExpanded") == "true"
    assert "left wrist\n0.40" in text(tab, "#persons .points")
    box = tab.ask(
        "(({x, y}) => [x, y])(document.getElementById('canvas').getBoundingClientRect())"
    )
    scale = tab.ask("document.getElementById('canvas').clientWidth") / 320
    tab.mouse("mouseMoved", *(box + (points[1, RIGHT_HIP] + 0.5) * scale).tolist())
    settle(tab)
    assert tab.ask("[...document.querySelectorAll('#persons li.pointed')].length") == 1
    assert near(seen_at(tab, points[1, RIGHT_HIP]), RIGHT)


def test_what_is_downloaded_is_what_is_shown(tab, tmp_path, estimator):
    photograph = saved(tmp_path / HOSTILE)
    add(tab, photograph)
    slide(tab, "#person-score", 0.6)
    tab.click("[data-act=json]")
    name, data = tab.saved()
    content = json.loads(data)
    assert (name, content["thresholds"]) == ("poses.json", {"person": 0.6, "keypoint": 0.2})
    (image,) = content["images"]
    assert (image["name"], image["width"], image["error"]) == (HOSTILE, 320, None)
    (expected, _) = json.loads(estimator(photograph).to_json())
    del expected["image_id"]
    assert image["poses"] == [{"person": 0, **expected}]

    tab.click("[data-act=csv]")
    name, data = tab.saved()
    rows = list(csv.reader(io.StringIO(data.decode())))
    assert (name, tuple(rows[0]), len(rows)) == ("keypoints.csv", COLUMNS, 18)
    assert rows[1][:3] == [f"'{HOSTILE}", "0", "nose"]  # no formula for a spreadsheet
    np.testing.assert_allclose(
        [list(map(float, row[3:6])) for row in rows[1:]], list(expected["keypoints"].values())
    )

    tab.click("[data-act=png]")
    name, data = tab.saved()
    assert name == "_1_1__img src_x onerror__document.title__taken____poses.png"
    drawn = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    assert drawn.size == (320, 240)
    x, y, _ = expected["keypoints"]["left_shoulder"]
    assert near(drawn.getpixel((round(x), round(y))), LEFT)


def test_names_of_files_are_nothing_but_text(tab, tmp_path):
    (tmp_path / "x").mkdir()
    add(tab, saved(tmp_path / HOSTILE), saved(tmp_path / "x" / "\u202egpj.exe.jpg"))
    assert tab.ask("document.querySelectorAll('img').length") == 1
    assert text(tab, "#facts b") == HOSTILE
    assert tab.ask("document.title").startswith("pose_hrnet")


def test_the_webcam_shows_its_pace_keeps_frames_and_is_freed(tab):
    tab.click("#welcome [data-act=camera]")
    tab.wait("/frames\\/s · \\d+ ms/.test(document.getElementById('pace').textContent)")
    assert text(tab, "#count") == "2"
    tab.click("[data-act=keep]")
    tab.wait(ALL_DONE.format(1))
    tab.ask("window.track = document.getElementById('video').srcObject.getVideoTracks()[0]")
    tab.click("[data-act=stop]")
    assert tab.ask("[track.readyState, document.getElementById('video').srcObject]") == [
        "ended", None,
    ]  # fmt: skip
    assert text(tab, "#facts b") == "webcam 1.jpg"
    assert tab.ask("document.getElementById('badge').hidden")
    settle(tab)
    assert text(tab, "#count") == "2"


def test_the_keys_suffice_and_every_control_has_a_name(tab, photograph, tmp_path):
    add(tab, photograph, saved(tmp_path / "second.png"))
    named = tab.controls()
    assert {"Choose photographs"} & set(named) == set()  # hidden: there are pictures
    assert "" not in named
    assert {
        "people.jpg, 2 persons",
        "Remove people.jpg",
        "PNG",
        "Boxes",
        "Persons that score at least",
    } <= set(named)
    for key in ("Tab",) * 3:
        tab.press(key)
    assert tab.ask("document.activeElement.ariaLabel") == "people.jpg, 2 persons"
    assert tab.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("ArrowRight")
    assert tab.ask("document.activeElement.ariaLabel") == "second.png, 2 persons"
    assert text(tab, "#facts b") == "second.png"
    tab.press("Delete")
    assert text(tab, "#facts b") == "people.jpg"
    tab.press("Delete")
    assert tab.ask("document.getElementById('stage').hidden")
    assert "Choose photographs" in tab.controls()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_telephones_and_dark_rooms(tab, photograph, width):
    grounds = []
    for scheme in ("light", "dark"):
        tab.appear(width, 844, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
        grounds.append(tab.ask("getComputedStyle(document.body).backgroundColor"))
    add(tab, photograph)
    assert len(set(grounds)) == 2
    assert tab.ask("document.documentElement.scrollWidth") <= width
    moving = "[...document.querySelectorAll('*')].map(each => getComputedStyle(each))"
    assert (
        tab.ask(
            f"{moving}.filter(s => s.animationName + s.transitionProperty !== 'nonenone').length"
        )
        == 0
    )


def test_the_figures_of_the_invitation_are_those_of_the_package(tab):
    said = tab.ask("import('/static/dancers.js').then(m => ({...m.COCO17}))")
    model = tab.ask("fetch('/v1/model').then(answer => answer.json())")
    assert said["names"] == list(COCO17.keypoint_names)
    assert sorted(map(sorted, said["limbs"])) == sorted(
        sorted(pair) for pair in COCO17.links if pair != (1, 2)
    )
    sides = [f"rgb({' '.join(map(str, c))})" if c else None for c in model["colors"]["keypoints"]]
    assert said["sides"] == sides


def test_files_are_small_and_name_nothing_outside():
    for path in sorted(WEB.iterdir()):
        content = path.read_text("utf-8")
        assert len(content.splitlines()) <= 200, path.name
        outside = content.replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in outside, path.name
        assert "https:" not in outside, path.name
        assert "innerHTML" not in content, path.name
