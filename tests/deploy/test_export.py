"""Exports answer as their checkpoint does, whatever runs them; a wrong one never appears."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pose_hrnet import HRNet, PoseEstimator
from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.deploy.check import (
    Difference,
    annotated_crops,
    difference,
    drawn_crops,
)
from pose_hrnet.deploy.export import export_model, export_path, trace
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.settings import compare_settings
from pose_hrnet.inference.backends.convert import PACKAGES
from pose_hrnet.inference.load import load_model
from pose_hrnet.inference.model import decode_each
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import SUFFIXES, ModelCard
from pose_hrnet.models.network import IMAGENET_MEAN, IMAGENET_STD
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.load import save_model
from pose_hrnet.system.defaults import MAX_DIFFERENCE
from pose_hrnet.system.folders import NotWritten
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run
from tests.helpers.networks import ColourMix
from tests.helpers.pose_models import pose_model

SIZE_WH = (64, 96)


def tiny(codec_name="udp", network=None, **options):
    codec = HeatmapCodec(codec_name, SIZE_WH)
    card = ModelCard({"num_keypoints": 17}, COCO17, codec, box_padding=1.1, note="of no use")
    return pose_model(network or ColourMix().eval(), card, **options)


@pytest.fixture(scope="module")
def crops():
    """A blob of each colour on black: heatmaps with one clear peak, where rounding stays small."""
    generator = torch.Generator().manual_seed(1)
    width, height = SIZE_WH
    size = torch.tensor([width, height]).float()
    centers = (torch.rand(16, 3, 2, generator=generator) * 0.5 + 0.25) * size
    x = torch.exp(-((torch.arange(width) - centers[..., :1]) ** 2) / 128)
    y = torch.exp(-((torch.arange(height) - centers[..., 1:]) ** 2) / 128)
    blobs = y[..., :, None] * x[..., None, :] * torch.tensor([255.0, 200, 150])[:, None, None]
    return blobs.permute(0, 2, 3, 1).to(torch.uint8)


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def exported(request, tmp_path_factory, crops):
    """A UDP model's export, with flip test and heatmaps."""
    for package in PACKAGES[request.param]:
        pytest.importorskip(package)
    path = export_path(tmp_path_factory.mktemp("out"), Path("tiny.pt"), request.param)
    done = export_model(tiny("udp"), path, request.param, heatmaps=True, check_crops=crops)
    assert done.ok
    return path


def test_an_export_answers_as_its_checkpoint_at_every_batch_size(exported, crops):
    model = load_model(exported, device="cpu")
    found = difference(tiny(), model, crops)
    assert found.ok
    assert found.keypoints_largest < 0.01
    alone = torch.cat([model(crops[i : i + 1])[0] for i in range(5)])
    torch.testing.assert_close(alone, model(crops[:5])[0], atol=0.01, rtol=0)
    # So that the flip test and the codec are really inside:
    assert not difference(tiny(flip_test=False), model, crops).ok
    assert not difference(tiny("dark"), model, crops).ok


def test_heatmaps_are_the_third_output(exported, crops):
    model = load_model(exported, device="cpu")
    _, scores, heatmaps = model.network.session.run(crops[:3])
    torch.testing.assert_close(heatmaps, tiny().heatmaps(crops[:3]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(scores, heatmaps.amax(dim=(2, 3)), atol=1e-4, rtol=1e-4)


def test_a_network_of_others_for_bgr_takes_rgb_in_every_backend_and_export(tmp_path):
    """The official SimpleBaselines learned from BGR, which no crop here is."""
    torch.manual_seed(0)
    network, path = SimpleBaseline(18).eval(), tmp_path / "pose_resnet_18_96x64.pth"
    torch.save(network.state_dict(), path)
    crop = torch.randint(0, 256, (2, 96, 64, 3), dtype=torch.uint8)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.inference_mode():
        expected = network((crop.flip(-1).permute(0, 3, 1, 2) / 255 - mean) / std)
    close = partial(torch.testing.assert_close, rtol=1e-3, atol=1e-3 * float(expected.max()))
    there = [name for name, packages in PACKAGES.items() if all(map(find_spec, packages))]
    for backend in ("eager", *(name for name in there if name != "torch")):
        model = load_model(path, backend=backend, flip_test=False, device="cpu")
        close(model.heatmaps(crop), expected)
    layers = load_model(path, backend="eager", flip_test=False, device="cpu")
    for fmt in there:
        out = tmp_path / f"export{SUFFIXES[fmt]}"
        export_model(layers, out, fmt, heatmaps=True)
        if fmt == "torch":
            heatmaps = torch.export.load(out).module()(crop)[2]
        else:
            heatmaps = load_model(out, device="cpu").network.session.run(crop)[2]
        close(heatmaps, expected)
        assert ModelCard.read_beside(out).colour == "RGB"


def test_the_card_says_what_is_inside(exported):
    card = json.loads(exported.with_name(exported.name + ".json").read_text())
    assert ModelCard.from_dict(card["checkpoint"]) == tiny("udp").card
    assert card["checkpoint"]["note"] == "of no use"
    assert load_model(exported, device="cpu").summary.endswith("\nof no use")
    assert card["outputs"] == ["keypoints", "scores", "heatmaps"]
    assert (card["flip_test"], card["flip_shift_cells"]) == (True, 0)
    assert card["input"]["shape"] == ["batch", 96, 64, 3]
    assert card["versions"]["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert card["measured"]["difference"]["crops"] == 16
    written = {p.name for p in exported.parent.iterdir()} - {"tiny.bin"}
    assert written == {exported.name, exported.name + ".json"}


def test_predict_and_evaluate_take_exports(exported, crops, tmp_path):
    models = tiny(), load_model(exported, device="cpu")
    image = cv2.resize(crops[0].numpy(), (150, 200))
    boxes = [[10, 10, 100, 180], [30, 5, 140, 190]]
    ours, theirs = (PoseEstimator(m)(image, boxes).keypoints_image for m in models)
    np.testing.assert_allclose(theirs, ours, atol=0.05)

    people = make_people(4)
    data = DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=tmp_path,
    )
    for name, (width, height) in zip(
        people.images.file_names, people.images.sizes_wh, strict=True
    ):
        cv2.imwrite(str(tmp_path / name), cv2.resize(crops[1].numpy(), (int(width), int(height))))
    settings = EvaluateConfig(batch_size=3, nms="none")
    results = []
    for model in models:
        evaluation = evaluate(model, data, settings)
        assert evaluation.provenance["flip_test"] is True
        results.append(evaluation.poses.keypoints_image)
    np.testing.assert_allclose(*results, atol=0.05)
    with pytest.raises(ValueError, match="no heatmaps, so that there is nothing to compare"):
        compare_settings(model, data, settings, ("flip",))
    with pytest.raises(ValueError, match="gives no heatmaps to decode in other ways"):
        list(decode_each(model, [model.decoder] * 2, crops))


def test_what_is_built_in_cannot_be_asked_away(exported):
    path = exported
    with pytest.raises(ValueError, match="holds the flip test"):
        load_model(path, flip_test=False)
    with pytest.raises(ValueError, match="flip shift built in"):
        load_model(path).with_test_settings(flip_shift=1)


def test_a_card_that_contradicts_the_model_is_refused(exported, tmp_path):
    path = exported
    for file in path.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    card_file = tmp_path / f"{path.name}.json"
    card = json.loads(card_file.read_text())
    other_size = {**card["checkpoint"]["codec"], "input_wh": [96, 96]}
    card_file.write_text(
        json.dumps({**card, "checkpoint": {**card["checkpoint"], "codec": other_size}})
    )
    with pytest.raises(ValueError, match=r"its card says"):
        load_model(tmp_path / path.name)
    for text in ("{}", "[]", "<html>", json.dumps({**card, "checkpoint": []})):
        card_file.write_text(text)
        with pytest.raises(ValueError, match="no card of an exported model"):
            load_model(tmp_path / path.name)
    card_file.unlink()
    with pytest.raises(FileNotFoundError, match="no card beside it"):
        load_model(tmp_path / path.name)


def test_damaged_files_are_one_sentence(exported, tmp_path):
    path = exported
    card = path.with_name(path.name + ".json")
    (tmp_path / card.name).write_bytes(card.read_bytes())
    (tmp_path / path.name).write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match=f"{path.name}: ") as error:
        load_model(tmp_path / path.name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("codec_name", "flip_test"), [("gaussian", True), ("dark", False)])
def test_the_other_codecs_can_be_traced(codec_name, flip_test, tmp_path, crops):
    done = export_model(
        tiny(codec_name, flip_test=flip_test), tmp_path / "a.pt2", "torch", check_crops=crops
    )
    assert done.difference.keypoints_largest < 1e-3


def test_the_card_says_what_the_graph_does_and_not_what_the_checkpoint_did(tmp_path, crops):
    """Codec and shift are those of the decoder; a shift of 0 is one, too."""
    plain, path = tiny("gaussian"), tmp_path / "a.pt2"
    other = HeatmapCodec("dark", SIZE_WH, blur_kernel=3)
    for changes, expected in (
        ({"flip_shift": 0}, replace(plain.card.codec, own_flip_shift=0)),
        ({"codec": other}, other),
        ({"codec": replace(other, border_true=True)}, replace(other, border_true=True)),
        ({"codec": other, "flip_shift": 2}, replace(other, own_flip_shift=2)),
        ({"flip_test": False, "flip_shift": 0}, plain.card.codec),
    ):
        model = plain.with_test_settings(**changes)
        assert export_model(model, path, "torch", check_crops=crops).ok
        card = ModelCard.read_beside(path)
        assert card.codec == expected
        told = json.loads((tmp_path / "a.pt2.json").read_text())["flip_shift_cells"]
        assert told == model.decoder.shift_cells
        again = pose_model(model.network, card, flip_test=card.export.flip_test)
        torch.testing.assert_close(again(crops)[0], model(crops)[0])
    path.unlink()
    with pytest.raises(ValueError, match="plain argmax"):
        export_model(plain.with_test_settings(refine=False), path, "torch")
    assert not path.exists()


def test_a_torch_program_is_written_for_others_and_not_run_here(tmp_path, crops):
    path = tmp_path / "tiny.pt2"
    assert export_model(tiny(), path, "torch", check_crops=crops).difference.ok
    assert ModelCard.read_beside(path).export.format == "torch"
    points, _ = torch.export.load(path).module()(crops[:3])
    torch.testing.assert_close(points, tiny()(crops[:3])[0], atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="give the checkpoint, or export it to ONNX or OpenVINO"):
        load_model(path)


def test_drawn_crops_are_of_the_cards_size():
    drawn = drawn_crops(tiny("dark").card, 5)
    assert drawn.shape == (5, 96, 64, 3)
    assert drawn.float().std() > 10


@pytest.mark.slow
def test_hrnet_and_the_command_line(tmp_path):
    """The small network as a user exports it: libraries warn of nothing."""
    torch.manual_seed(0)
    blocks = {"stem_blocks": 1, "stage_modules": (1, 1, 1), "branch_blocks": 1}
    model = HRNet(8, stem_width=8, **blocks)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("dark", SIZE_WH))
    save_model(tmp_path / "small.safetensors", model.state_dict(), card)
    arguments = ["export", "-c", tmp_path / "small.safetensors", "-o", tmp_path / "out"]
    for fmt, packages in PACKAGES.items():
        if all(map(find_spec, packages)):
            out, error = run(*arguments, "--flip-test", "--format", fmt)
            assert "32 crops: keypoints differ" in out
            assert (tmp_path / f"out/small{SUFFIXES[fmt]}.json").is_file()
            assert "tracing the network and writing it in format" in error
            assert "WARNING" not in error
    _, error = run(*arguments, "--images", tmp_path, code=2)
    assert "--annotations and --images belong together" in error


def test_a_difference_beyond_the_bound_leaves_no_file(tmp_path, crops, monkeypatch):
    def traced_wrongly(model, **options):
        codec = replace(model.decoder.codec, blur_kernel=3)
        return trace(replace(model, decoder=replace(model.decoder, codec=codec)), **options)

    monkeypatch.setattr("pose_hrnet.deploy.export.trace", traced_wrongly)
    done = export_model(tiny("dark"), tmp_path / "new/a.pt2", "torch", check_crops=crops)
    assert not done.ok
    assert list(tmp_path.iterdir()) == []


def test_the_bound_forgives_ties_alone():
    good = Difference(64, MAX_DIFFERENCE, 2.0, 1e-5, 0.001, 1e-6)
    assert good.ok
    assert not replace(good, keypoints_apart=0.01).ok
    assert not replace(good, keypoints_median=0.02).ok
    assert not replace(good, scores_largest=0.01).ok
    assert not replace(good, keypoints_median=float("nan")).ok


def test_output_names(tmp_path):
    checkpoint = tmp_path / "w32.safetensors"
    assert export_path(tmp_path / "out", checkpoint, "openvino") == tmp_path / "out/w32.xml"
    assert export_path(tmp_path / "a.onnx", checkpoint, "onnx") == tmp_path / "a.onnx"
    with pytest.raises(ValueError, match=r"end in \.xml"):
        export_path(tmp_path / "a.onnx", checkpoint, "openvino")


def test_annotated_crops_spread_over_the_data(tmp_path):
    people = make_people(9)
    data = DataSet(
        annotations=write_annotations(people, tmp_path / "people.json"),
        images=write_images(people, tmp_path / "images"),
    )
    card = ModelCard({"num_keypoints": 17}, COCO17, HeatmapCodec("dark", (64, 96)))
    assert annotated_crops(card, data, 4).shape == (4, 96, 64, 3)
    assert annotated_crops(card, data).shape == (9, 96, 64, 3)
    with pytest.raises(ValueError, match="could be read"):
        annotated_crops(card, data.model_copy(update={"images": tmp_path / "none"}), 4)
    (tmp_path / "nobody.json").write_text("[]")
    with pytest.raises(ValueError, match=r"nobody.json has no box, and an export is compared on"):
        annotated_crops(card, data.model_copy(update={"boxes": tmp_path / "nobody.json"}), 4)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"pip install 'pose-hrnet\[onnx\]'"):
        export_model(tiny("dark"), tmp_path / "small.onnx", "onnx")


def test_networks_that_no_graph_can_hold(tmp_path):
    class Odd(ColourMix):
        def forward(self, images):
            return super().forward(images) * (1 if images.sum() > 0 else 2)

    odd = tiny("dark", Odd().eval())
    with pytest.raises(ValueError, match="cannot be traced"):
        export_model(odd, tmp_path / "a.pt2", "torch")


def test_an_output_folder_that_is_a_file_is_one_sentence(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OSError, match="out is a file, not a folder; choose another place"):
        export_model(tiny("dark"), tmp_path / "out/a.pt2", "torch")


@pytest.mark.parametrize("fmt", list(SUFFIXES))
def test_a_full_disk_is_what_a_full_disk_is_called(tmp_path, fmt):
    """A limit on the size of files stands for the disk; each format's writer fails in its way."""
    for package in PACKAGES[fmt]:
        pytest.importorskip(package)
    resource = pytest.importorskip("resource", reason="limits are a matter of Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / f"model{SUFFIXES[fmt]}"
    model = tiny()

    def export():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            export_model(model, path, fmt)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with pytest.raises(NotWritten, match=rf"{path.name} could not be written .*make room"):
        export()
    assert list(tmp_path.iterdir()) == []


def test_room_is_asked_for_before_the_network_is_traced(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    monkeypatch.setattr("pose_hrnet.deploy.export.trace", None)
    with pytest.raises(OSError, match="has 0 MB free, but the run needs about 1 MB"):
        export_model(tiny(), tmp_path / "model.pt2", "torch")
