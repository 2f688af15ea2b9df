"""Every backend answers as the layers of torch in fp32, and `auto` chooses by what is there."""

from __future__ import annotations

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet import HRNet, PoseEstimator
from pose_hrnet.cli.app import app
from pose_hrnet.cli.options import expected_crops
from pose_hrnet.deploy.check import difference, drawn_crops
from pose_hrnet.inference.backends import choose as choosing
from pose_hrnet.inference.backends.choose import FEW_CROPS, MANY_CROPS, choose

# Private: names of cached files, what is not called again, and what PyTorch asks the CPU.
from pose_hrnet.inference.backends.convert import _digest, converted_session
from pose_hrnet.inference.backends.networks import FoldedNetwork, agrees, folded
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.simple_baseline import SimpleBaseline
from pose_hrnet.models.weights.load import load_network, save_model
from tests.helpers.builders import make_people, write_annotations, write_images

SMALL = {"stem_width": 8, "stem_blocks": 1, "stage_modules": (1, 1, 1), "branch_blocks": 1}
EXTRAS = {"openvino": ("openvino",), "onnx": ("onnx", "onnxscript", "onnxruntime")}


def living(network):
    """Weights and batch norm statistics as after training: nothing vanishes, nothing is 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.kaiming_normal_(module.weight, generator=generator)
        elif isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.2, 0.2, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    network = living(HRNet(8, **SMALL))
    card = ModelCard(network.architecture, COCO17, HeatmapCodec("dark", (64, 96)))
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def reference(checkpoint):
    return load_model(checkpoint, backend="eager", device="cpu")


@pytest.fixture(scope="module")
def crops(reference):
    return drawn_crops(reference.card, 9)


def load(checkpoint, backend, **options):
    for package in EXTRAS.get(backend, ()):
        pytest.importorskip(package)
    return load_model(checkpoint, backend=backend, device="cpu", **options)


def test_folding_changes_nothing_but_the_rounding(reference):
    images = torch.randint(0, 256, (2, 3, 96, 64), dtype=torch.uint8)
    with torch.no_grad():
        for network in (reference.network, living(SimpleBaseline(18))):
            kept = {name: value.clone() for name, value in network.state_dict().items()}
            fused = folded(network)
            assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
            expected = network(images)
            torch.testing.assert_close(
                fused(images), expected, rtol=0, atol=1e-5 * float(expected.abs().max())
            )
            for name, value in network.state_dict().items():  # the original is left alone
                assert torch.equal(value, kept[name])


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_backends_agree_with_the_reference(backend, checkpoint, reference, crops):
    model = load(checkpoint, backend)
    assert (model.choice.backend, model.decoder.precision) == (backend, "fp32")
    apart = difference(reference, model, crops)  # in batches of 7 and 2
    assert apart.keypoints_median < 0.01
    assert apart.ok, apart.summary()
    alone = torch.cat([model(crops[i : i + 1])[0] for i in range(3)])
    assert (alone - model(crops[:3])[0]).norm(dim=-1).median() < 0.01


@pytest.mark.slow
def test_compiled_code_agrees_with_the_reference_at_every_batch_size(checkpoint, reference, crops):
    for precision, bound in (("fp32", 0.01), ("bf16", 1.0)):
        model = load(checkpoint, "compile", precision=precision)
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert difference(reference, model, crops).keypoints_median < bound
        for count in (1, 2, 5, 9):
            points, _ = model(crops[:count])
            assert len(points) == count
        with model.evaluating():
            model(crops)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_bf16_is_near_and_is_really_bf16(backend, checkpoint, reference, crops):
    model = load(checkpoint, backend, precision="bf16")
    assert model.decoder.precision == "bf16"
    assert not any(module.training for module in model.network.modules())
    images = crops.permute(0, 3, 1, 2)
    with torch.no_grad():
        expected, found = reference.network(images), model.network(images)
    assert found.dtype == torch.float32
    error = float((found - expected).abs().mean() / expected.abs().mean())
    assert error < 0.1
    if backend == "eager" or torch.cpu._is_avx512_bf16_supported():
        assert error > 1e-4


def test_the_last_convolution_stays_in_float32(reference):
    network = FoldedNetwork(reference.network, torch.bfloat16)
    heatmaps = network(torch.randint(0, 256, (1, 3, 96, 64), dtype=torch.uint8))
    assert not torch.equal(heatmaps, heatmaps.bfloat16().float())


def without(*missing):
    return lambda name: None if name in missing else object()


@pytest.mark.parametrize(
    ("missing", "crops", "expected"),
    [
        ((), None, "openvino"),
        ((), FEW_CROPS - 1, "eager"),
        ((), MANY_CROPS, "openvino"),
        (("openvino",), None, "eager"),
        (("openvino",), MANY_CROPS, "eager"),
    ],
)
def test_auto_on_a_cpu(missing, crops, expected, monkeypatch):
    monkeypatch.setattr(choosing, "find_spec", without(*missing))
    choice = choose("auto", "fp32", "cpu", crops=crops)
    assert (choice.backend, choice.precision) == (expected, "fp32")
    assert ("pip install" in choice.reason) == (bool(missing))


@pytest.mark.parametrize(
    ("missing", "crops", "expected"),
    [
        ((), None, "eager"),
        ((), MANY_CROPS, "compile"),
        (("triton",), MANY_CROPS, "eager"),
    ],
)
def test_auto_on_cuda(missing, crops, expected, monkeypatch):
    monkeypatch.setattr(choosing, "find_spec", without(*missing))
    monkeypatch.setattr("pose_hrnet.system.device.find_spec", without(*missing))
    monkeypatch.setattr(choosing, "pick_device", torch.device)
    assert choose("auto", "fp16", "cuda", crops=crops).backend == expected


def test_auto_precision_is_what_the_cpu_multiplies(monkeypatch):
    for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, query, lambda: True)
    assert choose("eager", "auto", "cpu").precision == "bf16"
    assert choose("onnx", "auto", "cpu").precision == "fp32"
    for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, query, lambda: False)
    assert choose("eager", "auto", "cpu").precision == "fp32"


@pytest.mark.parametrize(
    ("backend", "precision", "message"),
    [
        ("onnx", "bf16", "ONNX Runtime computes in fp32"),
        ("eager", "fp16", "does not compute in fp16"),
        ("openvino", "fp16", "does not compute in fp16"),
        ("compile", "fp32", "needs the compiler"),
    ],
)
def test_what_cannot_be_is_one_sentence(backend, precision, message, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ValueError, match=message) as error:
        choose(backend, precision, "cpu")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("backend", "extra"), [("openvino", "openvino"), ("onnx", "onnx")])
def test_a_missing_extra_is_named(backend, extra, checkpoint, monkeypatch):
    for package in ("openvino", "onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(ValueError, match=rf"pip install 'pose-hrnet\[{extra}\]'"):
        load_model(checkpoint, backend=backend, device="cpu")


def test_auto_falls_back_to_what_it_can_prove(checkpoint, monkeypatch, caplog):
    pytest.importorskip("openvino")
    assert load_model(checkpoint, device="cpu").choice.backend == "openvino"
    monkeypatch.setattr("pose_hrnet.inference.load.agrees", lambda *_: False)
    model = load_model(checkpoint, device="cpu")
    assert model.choice.backend == "eager"
    assert "openvino gives other heatmaps here" in model.choice.summary
    assert "openvino gives other heatmaps here" in caplog.text

    def fails(*_):
        raise RuntimeError("it runs,\nbut not here")

    monkeypatch.setattr("pose_hrnet.inference.load.agrees", fails)
    model = load_model(checkpoint, device="cpu")
    assert "eager, fp32: openvino cannot be used, it runs, but not here" in model.choice.summary


def test_networks_that_differ_do_not_agree(checkpoint, reference):
    other = load_network(checkpoint).network
    cpu, card = torch.device("cpu"), reference.card
    assert agrees(other, cpu, reference.network, card, "fp32")
    with torch.no_grad():
        other.final_layer.bias[3] += (
            0.05 * reference.network(torch.zeros(1, 3, 96, 64, dtype=torch.uint8)).abs().max()
        )
    assert not agrees(other, cpu, reference.network, card, "fp32")


def test_a_converted_network_is_kept_and_found_again(checkpoint, monkeypatch, tmp_path, crops):
    pytest.importorskip("openvino")
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path))
    first = load_model(checkpoint, backend="openvino", device="cpu")
    (kept,) = tmp_path.rglob("*.xml")
    with monkeypatch.context() as patch:
        # Is not called again.
        patch.setattr("pose_hrnet.inference.backends.convert._to_openvino", None)
        second = load_model(checkpoint, backend="openvino", device="cpu")
    torch.testing.assert_close(first(crops), second(crops))
    kept.write_text("<html/>")
    third = load_model(checkpoint, backend="openvino", device="cpu")
    torch.testing.assert_close(first(crops), third(crops))
    assert len(list(tmp_path.rglob("*.*"))) == 2


class Plain(torch.nn.Module):
    """Quick to convert: the colours, as heatmaps."""

    def forward(self, images):
        return torch.nn.functional.avg_pool2d(images.float(), 4)


def plain_session():
    pytest.importorskip("openvino")
    return converted_session(Plain(), (8, 12), "openvino")


class Unknown(torch.nn.Module):
    """Holds an operation that OpenVINO does not have."""

    def forward(self, images):
        return torch.linalg.svdvals(images.float())


def test_warnings_are_heard_after_a_conversion_that_failed(caplog):
    pytest.importorskip("openvino")
    with pytest.raises(ValueError, match="cannot be converted for openvino"):
        converted_session(Unknown(), (8, 12), "openvino")
    logging.getLogger("pose_hrnet.training.loggers").warning("no server")
    logging.warning("nor this one")
    assert "no server" in caplog.text
    assert "nor this one" in caplog.text


def test_a_cache_that_cannot_be_used_is_no_error(tmp_path, monkeypatch):
    crops = torch.randint(0, 256, (3, 12, 8, 3), dtype=torch.uint8)
    monkeypatch.setenv("POSE_HRNET_CACHE", str(tmp_path))
    (expected,) = plain_session().run(crops)

    def refuse(*_, **__):
        raise PermissionError("read-only")

    with monkeypatch.context() as patch:  # read, but not marked as used
        patch.setattr("pose_hrnet.inference.backends.convert.os.utime", refuse)
        patch.setattr("pose_hrnet.inference.backends.convert._to_openvino", None)
        torch.testing.assert_close(plain_session().run(crops)[0], expected)
    for name in ("Path.is_file", "Path.mkdir"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pose_hrnet.inference.backends.convert.{name}", refuse)
            torch.testing.assert_close(plain_session().run(crops)[0], expected)
    monkeypatch.delenv("POSE_HRNET_CACHE")

    def homeless(*_, **__):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("pose_hrnet.system.files.user_cache_path", homeless)
    torch.testing.assert_close(plain_session().run(crops)[0], expected)


def test_several_threads_may_call_one_session():
    run = plain_session().run
    crops = [torch.full((16, 12, 8, 3), value, dtype=torch.uint8) for value in range(200)]
    with ThreadPoolExecutor(4) as pool:
        for value, (found,) in enumerate(pool.map(run, crops)):
            assert torch.equal(found, torch.full((16, 3, 3, 2), float(value)))


def test_the_command_line_says_once_what_runs_and_why(checkpoint, tmp_path, caplog):
    caplog.set_level(logging.INFO, "pose_hrnet")
    people = make_people(4)
    images = write_images(people, tmp_path / "images")
    annotations = write_annotations(people, tmp_path / "people.json")
    common = ["-c", checkpoint, "-o", tmp_path / "out", "--device", "cpu"]
    evaluation = ["evaluate", *common, "--annotations", annotations, "--images", images]
    done = CliRunner().invoke(app, [*map(str, evaluation), "--workers", "0"])
    assert done.exit_code == 0, done.output
    assert done.output.count("eager, fp32: quickest to start, for about 4 crops") == 1
    written = json.loads((tmp_path / "out/metrics.json").read_text())["evaluated"]
    assert (written["backend"], written["precision"]) == ("eager", "fp32")
    done = CliRunner().invoke(app, [*map(str, ["predict", images, "--whole-image", *common])])
    assert done.exit_code == 0, done.output
    assert caplog.text.count("quickest to start, for about 2 crops") == 1


def test_the_estimator_tells_what_it_chose(checkpoint):
    estimator = PoseEstimator(load_model(checkpoint, device="cpu", backend="eager"))
    assert "as asked for" in estimator.summary
    assert "entries taken" in estimator.summary
    image = np.zeros((90, 60, 3), np.uint8)
    assert estimator(image).keypoints_image.shape == (1, 17, 2)


def test_the_reference_is_named_unless_it_runs(checkpoint, reference):
    assert reference.choice.summary == "eager, fp32: as asked for"
    other = load_model(checkpoint, backend="eager", device="cpu", precision="bf16")
    assert other.choice.summary.endswith("; the reference is --backend eager --precision fp32")


def test_what_torch_does_not_know_decides_its_arithmetic_by_itself(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert choose("openvino", "auto", "cpu").precision == "bf16"
    assert choose("openvino", "auto", "GPU").precision == "fp32"
    assert choose("openvino", "fp16", "GPU").precision == "fp16"
    assert choose("onnx", "auto", "cuda:1").backend == "onnx"


def test_persons_without_boxes_are_not_taken_for_few(tmp_path):
    path = tmp_path / "mpii.json"
    path.write_text(json.dumps([{"image": "a.jpg", "center": [3, 4], "scale": 1}] * 500))
    assert expected_crops(path) is None
    path.write_text(json.dumps([{"image_id": 1, "bbox": [0, 0, 1, 1]}] * 3))
    assert expected_crops(path) == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("backend", ["eager", "compile"])
def test_cuda_graphs_agree_with_the_reference(backend, checkpoint, reference, crops):
    model = load_model(checkpoint, backend=backend, device="cuda", precision="fp16")
    for count in (9, 1, 3, 9):
        points, _ = model(crops[:count])
        expected, _ = reference(crops[:count])
        assert (points - expected).norm(dim=-1).median() < 0.5


def test_other_weights_or_sizes_are_other_converted_networks():
    pytest.importorskip("openvino")  # its version is part of the name
    network = FoldedNetwork(living(HRNet(8, **SMALL)))
    digests = {_digest(network, (64, 96)), _digest(network, (96, 64))}
    network.mean[0] += 0.01
    digests.add(_digest(network, (64, 96)))
    network.layers.conv1.weight[0, 0, 0, 0] += 0.01
    digests.add(_digest(network, (64, 96)))
    assert len(digests) == 4
