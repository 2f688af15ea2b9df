"""Heatmaps of one person, as a picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from pose_hrnet.inference import heatmaps
from pose_hrnet.inference.detector import load_detector
from pose_hrnet.inference.files import predict_files
from pose_hrnet.inference.formats.writer import Outputs
from pose_hrnet.inference.heatmaps import heatmap_picture
from pose_hrnet.keypoints.simcc import SimccCodec
from tests.helpers.builders import make_people, write_images

BOX = [10, 20, 110, 200]


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    return cv2.resize(rng.integers(0, 255, (9, 11, 3), dtype=np.uint8), (320, 240))


def test_what_is_drawn_are_the_decoded_heatmaps_of_the_person(estimator, image, monkeypatch):
    drawn = []
    monkeypatch.setattr(heatmaps, "heatmap_sheet", lambda *args, **_: drawn.append(args))
    heatmap_picture(estimator.model, image, BOX)
    ((crop, maps, pitch, points, scores),) = drawn
    expected = estimator(image, [BOX])
    np.testing.assert_allclose(scores, expected.keypoint_scores[0], atol=1e-5)
    assert crop.shape == (96, 64, 3)
    assert pitch == (4, 4)
    highest = torch.from_numpy(maps).flatten(1).argmax(1)
    cells = np.stack([highest % 16, highest // 16], axis=1)
    seen = scores > 0  # others stand in the corner
    assert np.abs(points / 4 - cells)[seen].max() <= 0.5


def test_a_prediction_draws_the_surest_person_of_each_image(estimator, tmp_path):
    folder = write_images(make_people(4), tmp_path / "photos")
    out = tmp_path / "out"
    outputs = Outputs(draw_above=None, heatmaps=True)
    predict_files(estimator, [folder], out, outputs=outputs)
    names = [path.name for path in sorted((out / "heatmaps").iterdir())]
    assert names == ["000001.jpg", "000002.jpg"]
    assert not (out / "overlays").exists()
    assert cv2.imread(str(out / "heatmaps/000001.jpg")).shape[1] > 1000
    predict_files(estimator, [folder], out, outputs=outputs)
    assert len(list((out / "heatmaps.1").iterdir())) == 2

    def nobody(images):
        return [[] for _ in images]

    done = predict_files(estimator, [folder], tmp_path / "new", boxes=load_detector(nobody),
                         outputs=outputs)  # fmt: skip
    assert (done.images, done.pictures_missing) == (2, ())
    assert not (tmp_path / "new/heatmaps").exists()


def test_models_without_heatmaps_are_refused_before_anything_is_written(estimator, tmp_path):
    folder = write_images(make_people(2), tmp_path / "photos")
    model = estimator.model
    exported = replace(model, decoder=replace(model.decoder, in_graph=True))
    vectors = replace(model, card=replace(model.card, codec=SimccCodec((64, 96))))
    for changed, said in ((exported, "gives no heatmaps"), (vectors, "SimCC's vectors")):
        estimator.model, before = changed, model
        try:
            with pytest.raises(ValueError, match=said):
                predict_files(
                    estimator, [folder], tmp_path / "out", outputs=Outputs(heatmaps=True)
                )
        finally:
            estimator.model = before
        assert not (tmp_path / "out").exists()
