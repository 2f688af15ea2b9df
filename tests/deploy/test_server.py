"""What `pose-hrnet serve` answers, through its real application; the model is small and random."""

from __future__ import annotations

import io
import json

import numpy as np
import PIL.Image
import pytest
from starlette.testclient import TestClient

from pose_hrnet.deploy.server.answers import ERRORS, OMITTED
from pose_hrnet.deploy.server.limits import Limits
from pose_hrnet.visualize.pictures import jpeg_bytes
from tests.helpers.serving import error_of, picture, post, serving, tiny_estimator

BOX = [10, 5, 40, 45]


def expected(estimator, data, boxes=None):
    """The poses of an image as they are answered."""
    return [
        {name: value for name, value in person.items() if name != "image_id"}
        for person in json.loads(estimator(data, boxes).to_json())
    ]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_an_image_is_answered_as_the_estimator_predicts_it(client, estimator, kind):
    data = picture(kind=kind)
    answer = post(client, data)
    assert answer.status_code == 200
    assert answer.json() == {
        "model": {"name": "tiny", "hash": "0" * 64},
        "images": [
            {
                "name": None,
                "width": 64,
                "height": 48,
                "error": None,
                "poses": expected(estimator, data),
            }
        ],
    }


def test_boxes_of_a_body_are_a_plain_list(client, estimator):
    data = picture()
    answer = post(client, data, boxes=json.dumps([BOX, [0, 0, 64, 48]]))
    assert answer.json()["images"][0]["poses"] == expected(estimator, data, [BOX, [0, 0, 64, 48]])
    assert post(client, data, boxes="[]").json()["images"][0]["poses"] == []
    assert post(client, data, boxes="null").json() == post(client, data).json()


@pytest.mark.parametrize("at", ["field", "query"])
def test_several_images_have_a_list_of_boxes_each(client, estimator, at):
    one, other = picture(seed=1), picture((30, 80), "PNG", seed=2)
    files = [("image", ("a.jpg", one)), ("image", ("ü/../b.png", other))]
    boxes = {"boxes": json.dumps([[BOX], None])}
    where = {"data": boxes} if at == "field" else {"params": boxes}
    images = client.post("/v1/poses", files=files, **where).json()["images"]
    assert [image["name"] for image in images] == ["a.jpg", "ü/../b.png"]
    assert [(image["width"], image["height"]) for image in images] == [(64, 48), (30, 80)]
    assert images[0]["poses"] == expected(estimator, one, [BOX])
    assert images[1]["poses"] == expected(estimator, other)


def test_a_bad_image_among_several_has_its_own_error(client, estimator):
    good = picture()
    files = [("image", ("a.jpg", good)), ("image", ("b.txt", b"no image")), ("image", ("c", good))]
    answer = client.post("/v1/poses", files=files)
    assert answer.status_code == 200
    first, bad, last = answer.json()["images"]
    assert first["poses"] == last["poses"] == expected(estimator, good)
    assert bad["poses"] == []
    assert "image number 2 is not an image" in bad["error"]
    for fmt in ("coco", "openpose"):
        other = client.post("/v1/poses", files=files, params={"format": fmt})
        assert json.loads(other.headers[ERRORS]) == {"2": bad["error"]}
        assert OMITTED not in other.headers


def test_a_jpeg_may_have_a_thumbnail_and_much_beside_its_pixels(client):
    stream = io.BytesIO()
    frame = PIL.Image.new("RGB", (64, 48))
    profile = bytes(range(256)) * 2000
    frame.save(stream, "JPEG", icc_profile=profile, comment=b"\xff" * 60_000, exif=bytes(30_000))
    assert post(client, stream.getvalue()).status_code == 200
    frame.save(stream := io.BytesIO(), "MPO", save_all=True, append_images=[frame])
    assert post(client, stream.getvalue()).status_code == 200


def test_coco_results_are_those_of_the_estimator_with_the_number_of_their_image(client, estimator):
    data = picture()
    expected = [{**row, "image_id": 1} for row in estimator(data).to_coco()]
    assert post(client, data, format="coco").json() == expected
    files = [("image", (name, data)) for name in ("a.jpg", "a.jpg", "b.jpg")]
    files[1] = ("image", ("c.jpg", b"no image"))
    rows = client.post("/v1/poses", files=files, params={"format": "coco"}).json()
    assert [row["image_id"] for row in rows] == [1, 3]


def test_a_header_has_no_more_errors_than_a_proxy_takes(estimator):
    files = [("image", (f"{n}.jpg", b"no image")) for n in range(300)]
    with (
        serving(estimator, limits=Limits(max_images=300, max_queue=300)) as server,
        TestClient(server.app) as client,
    ):
        answer = client.post("/v1/poses", files=files, params={"format": "coco"})
    said = json.loads(answer.headers[ERRORS])
    assert 10 < len(said) == 300 - int(answer.headers[OMITTED])
    assert list(said) == [str(n) for n in range(1, len(said) + 1)]
    assert len(answer.headers[ERRORS]) < 4000
    assert answer.json() == []


def test_openpose_has_a_file_an_image(client):
    one = post(client, picture(), format="openpose").json()
    assert one["version"] == 1.3
    assert len(one["people"][0]["pose_keypoints_2d"]) == 51
    files = [("image", ("a.jpg", picture()))] * 2
    two = client.post("/v1/poses", files=files, params={"format": "openpose"}).json()
    assert two == [one, one]


def test_an_overlay_is_the_image_with_its_poses(client, estimator):
    data = picture(kind="PNG")
    answer = post(client, data, overlay="jpeg", min_score=-1)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == jpeg_bytes(estimator(data).plot(min_score=-1))
    error_of(post(client, b"no image", overlay="jpeg"), 415)


def test_an_overlay_is_no_longer_than_a_jpeg_can_be(client):
    long = picture((65_501, 2), "PNG")
    assert "65,500" in error_of(post(client, long, overlay="jpeg"), 422)
    assert post(client, long).status_code == 200


def test_sizes_are_those_of_the_upright_image(client):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    (image,) = post(client, picture(exif=exif)).json()["images"]
    assert (image["width"], image["height"]) == (48, 64)


def test_the_detector_finds_persons_of_images_without_boxes():
    def detector(images):
        return [np.array([[0, 0, 30, 40, 0.5], [2, 2, 3, 3, 0.1]]) for _ in images]

    found_by = tiny_estimator(detector=detector)
    data = picture()
    with serving(found_by) as server, TestClient(server.app) as client:
        (image,) = post(client, data).json()["images"]
        assert image["poses"] == expected(found_by, data)
        assert len(image["poses"]) == 1
        (image,) = post(client, data, boxes="[]").json()["images"]
        assert image["poses"] == []
        model = client.get("/v1/model").json()
    assert model["detector"] == "detector: the function detector"
    assert model["detector_threshold"] == 0.4


def test_the_model_is_told_with_its_skeleton_and_limits(client, estimator):
    model = client.get("/v1/model").json()
    assert (model["name"], model["hash"], model["ap"]) == ("tiny", "0" * 64, 0.5)
    assert model["input_wh"] == list(estimator.card.codec.input_wh)
    assert model["keypoints"] == list(estimator.skeleton.keypoint_names)
    assert model["limbs"] == [list(link) for link in estimator.skeleton.links]
    assert len(model["colors"]["keypoints"]) == 17
    assert model["detector"] is None
    assert model["limits"]["max_images"] == 16


def test_probes_metrics_and_description(client, estimator):
    assert client.get("/healthz").json() == {"status": "ok"}
    for path in ("/", "/healthz", "/readyz"):
        assert client.head(path).status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}
    post(client, picture())
    text = client.get("/metrics").text
    assert 'pose_requests_total{status="200"}' in text
    assert "pose_persons_total" in text
    assert "pose_images_waiting 0.0" in text
    spec = client.get("/openapi.json").json()
    assert {"/v1/poses", "/v1/model", "/healthz", "/readyz", "/metrics"} == set(spec["paths"])
    assert "503" in spec["paths"]["/v1/poses"]["post"]["responses"]
    with serving(estimator) as server, TestClient(server.app) as other:
        server.drain()
        assert other.get("/readyz").status_code == 503
        assert post(other, picture()).status_code == 200


def test_a_large_form_stays_in_memory(client, monkeypatch):
    def rollover(file):
        raise AssertionError("a body goes to the disk")

    monkeypatch.setattr("tempfile.SpooledTemporaryFile.rollover", rollover)
    large = picture((1000, 800), "PNG")
    assert len(large) > 2_000_000
    assert client.post("/v1/poses", files={"image": ("a.png", large)}).status_code == 200


def test_nothing_is_stored_unless_asked_for(estimator, tmp_path):
    data = picture(kind="PNG")
    files = [("image", ("../../a.png", data)), ("image", ("b", b"no image"))]
    with serving(estimator, save=tmp_path / "kept") as server, TestClient(server.app) as client:
        answer = client.post("/v1/poses", files=files).json()
    text, image = sorted((tmp_path / "kept").iterdir(), key=lambda path: path.suffix)
    assert image.read_bytes() == data
    assert json.loads(text.read_text()) == {"model": answer["model"], **answer["images"][0]}


def test_a_disk_that_cannot_be_written_costs_no_answer(estimator, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with serving(estimator, save=tmp_path / "file") as server, TestClient(server.app) as client:
        assert post(client, picture()).status_code == 200
    assert "--save" in caplog.text
