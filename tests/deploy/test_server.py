"""`pose-hrnet serve` through its real application; the model is small and random."""

from __future__ import annotations

import io
import json

import numpy as np
import PIL.Image
import pytest
from starlette.testclient import TestClient

from pose_hrnet.deploy.server.app import PoseServer, ServerSettings
from pose_hrnet.inference.estimator import PoseEstimator
from pose_hrnet.models.weights.identity import Identity
from tests.helpers.networks import card_of, tiny
from tests.helpers.pose_models import pose_model


@pytest.fixture(scope="module")
def estimator():
    network = tiny().eval()
    return PoseEstimator(pose_model(network, card_of(network)))


@pytest.fixture(scope="module")
def server(estimator):
    server = PoseServer([estimator], Identity("tiny", "0" * 64), ServerSettings())
    yield server
    server.close()


@pytest.fixture(scope="module")
def client(server):
    with TestClient(server.app) as client:
        yield client


def picture(size=(64, 48), kind="JPEG", seed=0):
    """The bytes of an image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    stream = io.BytesIO()
    PIL.Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def test_an_image_is_answered_as_the_estimator_predicts_it(client, estimator):
    data = picture()
    answer = client.post("/v1/poses", content=data, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 200
    (image,) = answer.json()["images"]
    assert (image["name"], image["width"], image["height"], image["error"]) == (None, 64, 48, None)
    (expected,) = json.loads(estimator(data).to_json())
    del expected["image_id"]
    assert image["poses"] == [expected]
