"""Which model it is."""

from __future__ import annotations

import hashlib

import pytest

from pose_hrnet.models.weights.fetch import checkpoint_path
from pose_hrnet.models.weights.identity import Identity, identity_of


def test_a_name_of_the_list_has_its_published_number():
    data = checkpoint_path("default").read_bytes()
    expected = Identity("default", hashlib.sha256(data).hexdigest(), 0.534, "AP of 200 images")
    assert identity_of("default") == expected


def test_a_file_is_called_by_its_name_alone(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"weights")
    assert identity_of(path) == Identity("mine", hashlib.sha256(b"weights").hexdigest())


@pytest.mark.parametrize(
    ("named", "beside"), [("m.xml", "m.bin"), ("m.onnx", "m.onnx.data"), ("m.onnx", "m.onnx_data")]
)
def test_every_file_that_holds_weights_counts(tmp_path, named, beside):
    path = tmp_path / named
    path.write_bytes(b"graph")
    found = {identity_of(path)}
    for changed, content in ((beside, b"one"), (beside, b"two"), (named, b"other")):
        (tmp_path / changed).write_bytes(content)
        found.add(identity_of(path))
    assert len(found) == 4


def test_of_a_card_its_model_counts(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"graph")
    (tmp_path / "card.yaml").write_text("model: mine.onnx\ninput_wh: [192, 256]\ncodec: dark\n")
    assert identity_of(tmp_path / "card.yaml") == identity_of(tmp_path / "mine.onnx")
