"""The hashes that say whether a job goes on with the same models."""

from __future__ import annotations

from pathlib import Path

import pytest

from pose_hrnet.deploy.bulk.identity import detector_files_sha256, model_files_sha256


@pytest.mark.parametrize("hashed", [model_files_sha256, detector_files_sha256])
@pytest.mark.parametrize("changed", ["m.xml", "m.bin", "m.yaml"])
def test_every_file_of_an_openvino_model_counts(tmp_path, hashed, changed):
    for name in ("m.xml", "m.bin", "m.yaml"):
        (tmp_path / name).write_text("a")
    before = hashed(tmp_path / "m.xml")
    assert hashed(tmp_path / "m.xml") == before
    (tmp_path / changed).write_text("b")
    assert hashed(tmp_path / "m.xml") != before


def test_a_card_that_is_given_and_weights_beside_onnx_count(tmp_path):
    (tmp_path / "m.onnx").write_text("a")
    plain = model_files_sha256(tmp_path / "m.onnx")
    (tmp_path / "other.yml").write_text("a")
    carded = model_files_sha256(tmp_path / "m.onnx", tmp_path / "other.yml")
    (tmp_path / "m.onnx.data").write_text("b")
    assert len({plain, carded, model_files_sha256(tmp_path / "m.onnx")}) == 3


def test_names_and_missing_files():
    assert model_files_sha256("default") == model_files_sha256("default") != ""
    with pytest.raises(OSError, match="none"):
        detector_files_sha256(Path("none.pth"))
