"""`pose-hrnet benchmark`: turns, ratios, reasons, and a report that says nothing of folders."""

from __future__ import annotations

import itertools
import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pose_hrnet import HRNet
from pose_hrnet.benchmark import timing
from pose_hrnet.benchmark.codec import decode_variants
from pose_hrnet.benchmark.evaluation import benchmark_evaluation
from pose_hrnet.benchmark.loading import LoadingVariant, benchmark_loading, open_source
from pose_hrnet.benchmark.machine import describe, machine_facts
from pose_hrnet.benchmark.model import (
    BASELINE,
    ModelChoice,
    benchmark_model,
    limit_note,
    matrix_rates,
    plain_model,
    random_checkpoint,
    random_crops,
)
from pose_hrnet.benchmark.pipeline import benchmark_pipeline, random_detector
from pose_hrnet.benchmark.prediction import benchmark_prediction, first_jobs
from pose_hrnet.benchmark.report import remarks, table
from pose_hrnet.benchmark.timing import Measurement, Pace, Row, Variant, measure, without_folders
from pose_hrnet.benchmark.video import benchmark_video
from pose_hrnet.cli.app import app
from pose_hrnet.config.files import load_config
from pose_hrnet.deploy.export import export_model
from pose_hrnet.inference.load import load_model
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.weights.load import load_network, save_model
from tests.helpers.builders import make_people, write_annotations, write_images
from tests.helpers.command_line import run_here
from tests.helpers.networks import ColourMix
from tests.helpers.pose_models import pose_model

ONCE = Pace(rounds=1, turn_seconds=0)
ROW_KEYS = {
    "variant", "ms", "spread", "ms_p95", "ms_rounds", "calls", "ms_each", "per_second", "ratio",
    "prepare_seconds", "reason",
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = HRNet(8, 17, stem_width=8, stem_blocks=1, stage_modules=(1, 1, 1), branch_blocks=1)
    card = ModelCard(model.architecture, COCO17, HeatmapCodec("dark", (32, 64), sigma=1.0))
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, model.state_dict(), card)
    return path


class Clock:
    """Time that passes as the works say."""

    def __init__(self, monkeypatch):
        self.now, self.log = 0.0, []
        monkeypatch.setattr(timing, "perf_counter", lambda: self.now)

    def variant(self, name, seconds):
        """A work that lasts as long as said for each call, or for all."""
        each = iter(seconds) if isinstance(seconds, list) else itertools.repeat(seconds)

        def work():
            self.log.append(name)
            self.now += next(each)

        return Variant.ready(name, work)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_variants_take_turns(clock):
    variants = [clock.variant("a", 4), clock.variant("b", 1)]
    a, b = measure(variants, "a", Pace(rounds=4, turn_seconds=0), name="x")
    # Each is prepared once; then the first of a round changes.
    assert clock.log == ["a", "b", *["a", "b", "b", "a"] * 2]
    assert (a.ratio, b.ratio) == (1, 4)
    assert (b.seconds, b.round_seconds, b.calls, b.prepare_seconds) == (1, (1, 1, 1, 1), 4, 1)


def test_a_ratio_is_the_median_of_those_of_each_round(clock):
    # The first call is preparation. The quotient of the medians would be 8.
    variants = [clock.variant("base", [9, 2, 8, 8]), clock.variant("other", [9, 1, 1, 16])]
    base, other = measure(variants, "base", Pace(rounds=3, turn_seconds=0), name="x")
    assert (base.seconds, other.seconds, other.ratio) == (8, 1, 2)


def test_short_calls_are_repeated_and_the_first_of_a_turn_is_left_out(clock):
    variant = clock.variant("only", [50, *[10, 1, 2, 3], *[8, 3, 4, 5]])
    (row,) = measure([variant], "only", Pace(2, 15.5), name="x")
    assert (row.calls, row.round_seconds, row.p95_seconds) == (6, (2, 4), 5)
    assert row.prepare_seconds == 50


def test_what_fails_is_a_row_with_the_reason_and_the_others_go_on(clock):
    def unpreparable():
        raise ValueError("no compiler at /usr/lib/somewhere/g++; install g++")

    calls = []

    def fails_later():
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")

    variants = [
        Variant("missing", unpreparable),
        Variant.ready("later", fails_later),
        clock.variant("good", 1),
    ]
    missing, later, good = measure(variants, "missing", Pace(4, 0), name="x")
    assert missing.reason == "no compiler at g++; install g++"
    assert later.reason == "out of memory"
    assert (len(calls), later.seconds, later.ratio) == (3, None, None)
    assert good.calls == 4
    assert good.ratio is None, "nothing to compare with"
    found = Measurement("model", "title", "crop", 2, "missing", (missing, later, good))
    headings, rows = table(found)
    assert all(len(row) == len(headings) for row in rows)
    assert rows[0][1:] == ["-"] * 6
    assert "later: out of memory" in remarks(found)


def test_spread_and_rates():
    row = Row("x", (1.0, 2.0, 3.0, 4.0, 5.0), 5.0, 5, 0.5, 2.0)
    assert row.spread == pytest.approx(1 / 3)
    values = row.to_dict(6)
    assert (values["ms"], values["per_second"], values["ms_each"]) == (3000, 2, 500)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/home/me/w32.xml holds the flip test", "w32.xml holds the flip test"),
        ("file '/tmp/a/b.so' missing", "file 'b.so' missing"),
        (r"C:\Users\me\w32.onnx is bad", "w32.onnx is bad"),
        ("see https://example.org/a/b", "see https://example.org/a/b"),
        ("pip install 'pose-hrnet[onnx]' and/or 3/4", "pip install 'pose-hrnet[onnx]' and/or 3/4"),
    ],
)
def test_messages_lose_folders_alone(text, kept):
    assert without_folders(text) == kept


def test_the_baseline_is_contiguous_fp32_and_predicts_as_the_package_does(checkpoint):
    model, card = plain_model(checkpoint, device="cpu", flip_test=True)
    seen = []
    first = next(m for m in model.network.modules() if isinstance(m, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    crops = random_crops(card, 3)
    points, scores = model(crops)
    assert seen[0].is_contiguous()
    assert not seen[0].is_contiguous(memory_format=torch.channels_last)
    assert {p.dtype for p in model.network.parameters()} == {torch.float32}
    wanted = load_model(checkpoint, backend="eager", device="cpu", flip_test=True)(crops)
    torch.testing.assert_close(scores, wanted[1], atol=1e-5, rtol=1e-4)
    assert (points - wanted[0]).norm(dim=-1).median() < 0.01


def test_random_weights_keep_the_signal_alive(tmp_path):
    """Denormal numbers, to which it fades without batch statistics, are slow."""
    loaded = load_network(random_checkpoint(load_config("demo"), tmp_path))
    outputs = []
    for module in loaded.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(lambda *all_: outputs.append(all_[-1].std()))
    with torch.inference_mode():
        loaded.network(random_crops(loaded.card, 2).permute(0, 3, 1, 2))
    assert min(outputs) > 0.1
    assert max(outputs) < 10


def test_exports_stand_beside_the_checkpoint_or_alone(checkpoint, tmp_path):
    pytest.importorskip("openvino")
    path = tmp_path / "tiny_export.xml"
    card = load_network(checkpoint).card
    export_model(pose_model(ColourMix().eval(), card, flip_test=False), path, "openvino")
    choice = ModelChoice(checkpoint, [path], (), (), (1,), device="cpu")
    (found,) = benchmark_model(choice, ONCE, model_name="tiny")
    assert [row.variant for row in found.rows] == [BASELINE, "tiny_export.xml"]
    assert [row.reason for row in found.rows] == ["", ""]
    assert any(note.startswith("tiny_export.xml: openvino, ") for note in found.notes)
    assert any("GFLOP for a crop" in note for note in found.notes)
    assert found.rows[1].ratio > 0
    flipped = ModelChoice(checkpoint, [path], (), (), (1,), flip_test=True, device="cpu")
    (found,) = benchmark_model(flipped, ONCE, model_name="tiny")
    assert "does not hold the flip test" in found.rows[1].reason
    alone = ModelChoice(None, [path], batches=(1,), device="cpu")
    (found,) = benchmark_model(alone, ONCE, model_name="tiny")
    assert [(row.reason, row.ratio) for row in found.rows] == [("", None)]
    assert "no baseline" in remarks(found)[0]


def test_the_limit_is_the_rate_of_matrix_products_over_the_work_of_a_crop():
    rates = matrix_rates(torch.device("cpu"), side=64)
    assert {"fp32", "bf16"} <= set(rates)
    assert min(rates.values()) > 0
    assert limit_note({"fp32": 200e9, "bf16": 430e9}, 30.7e9) == (
        "matrix products run here at (GFLOP/s) fp32 200, bf16 430: with 30.7 GFLOP for a crop, "
        "about 6.5, 14.0 crops/s is what can be reached"
    )


def test_crops_are_all_loaded_and_workers_end(tmp_path):
    people = make_people(6)
    annotations = write_annotations(people, tmp_path / "people.json")
    images = write_images(people, tmp_path / "images")
    source = open_source(annotations, images, tmp_path, 4, (32, 64))
    assert len(source.people) == 4
    for order in ("persons", "images", "shards"):
        batches = list(source.loader(LoadingVariant("fast", order, 0)))
        assert sum(len(batch.pixels) for batch in batches) == 4
        assert all(bool(batch.readable.all()) for batch in batches)
    variants = [LoadingVariant("exact", "persons", 0), LoadingVariant("exact", "persons", 1)]
    found = benchmark_loading(source, variants, ONCE)
    assert [row.variant for row in found.rows][1] == "exact, persons, 1 worker"
    assert (found.amount, found.rows[0].ratio, found.rows[1].reason) == (4, 1, "")


def test_evaluation_agrees_with_pycocotools(tmp_path):
    found = benchmark_evaluation(tmp_path, None, 300, ONCE)
    rows = {row.variant: row for row in found.rows}
    assert not any(row.reason for row in found.rows)
    assert rows["ten numbers"].ratio > 0
    parts = ("read annotations", "read boxes", "rescore", "OKS-NMS", "ten numbers")
    assert rows["together"].seconds == pytest.approx(sum(rows[p].seconds for p in parts))
    assert "the ten numbers of both ways are the same to the last bit" in found.notes


def test_machine_facts_name_neither_machine_nor_folder():
    facts = json.loads(json.dumps(machine_facts()))
    assert facts["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert facts["cores"] >= 1
    if sys.platform == "linux":
        assert facts["memory_gib"] > 0.1
    text = json.dumps(facts)
    assert str(Path.home()) not in text
    assert f'"{platform.node()}"' not in text
    assert all(value for _, value in describe(facts))


def test_prediction_gives_the_keypoints_of_the_plain_order(checkpoint, tmp_path):
    people = make_people(6)
    annotations = write_annotations(people, tmp_path / "people.json")
    images = write_images(people, tmp_path / "images")
    jobs = first_jobs(annotations, images, 3)
    assert [len(boxes) for _, boxes in jobs] == [2, 2]
    choice = ModelChoice(checkpoint, (), ("eager",), ("fp32",), (3,), True, "cpu")
    found = benchmark_prediction(choice, jobs, ONCE, model_name="tiny")
    assert [(row.variant, row.reason) for row in found.rows] == [
        (BASELINE, ""),
        ("eager fp32", ""),
    ]
    assert (found.amount, found.rows[0].ratio) == (4, 1)
    (note,) = found.notes
    assert float(note.rpartition(" ")[2]) < 0.01


def test_the_pipeline_stands_beside_its_two_halves(checkpoint, tmp_path):
    people = make_people(4)
    annotations = write_annotations(people, tmp_path / "people.json")
    jobs = first_jobs(annotations, write_images(people, tmp_path / "images"), 3)
    choice = ModelChoice(checkpoint, (), ("eager",), ("fp32",), (3,), True, "cpu")
    found = benchmark_pipeline(
        choice, jobs, ONCE, detector=random_detector(tmp_path), model_name="tiny"
    )
    assert [(row.variant, row.reason) for row in found.rows] == [
        (name, "") for name in ("one by one", "detector alone", "pose alone", "together")
    ]
    assert (found.unit, found.amount) == ("image", len(jobs))
    assert "yolox_nano_random.pth (YOLOX-Nano, eager, fp32)" in found.notes[0]
    assert "of the images a second that the slower of the two reaches alone" in found.notes[1]
    assert "% of what both reach one after the other" in found.notes[2]


def test_a_video_stands_beside_detector_and_network(checkpoint, tmp_path):
    people = make_people(4)
    annotations = write_annotations(people, tmp_path / "people.json")
    jobs = first_jobs(annotations, write_images(people, tmp_path / "images"), 3)
    choice = ModelChoice(checkpoint, (), ("eager",), ("fp32",), (3,), True, "cpu")
    found = benchmark_video(
        choice, jobs, ONCE, detector=random_detector(tmp_path), model_name="tiny", work=tmp_path
    )
    assert [row.reason for row in found.rows] == [""] * 5
    assert [row.variant for row in found.rows][:3] == [
        "detector and network", "video to results", "video to overlay",
    ]  # fmt: skip
    assert found.unit == "crop"
    assert found.amount >= 6
    assert "of the crops a second of detector and network alone" in found.notes[0]


def test_the_loop_decodes_as_the_gaussian_codec():
    loop, gaussian = (variant.prepare()() for variant in decode_variants((32, 64))[:2])
    np.testing.assert_allclose(loop, gaussian, atol=1e-3)


def test_the_command_writes_tables_and_json(checkpoint, tmp_path):
    report, markdown = tmp_path / "new" / "speed.json", tmp_path / "speed.md"
    out, _ = run_here(
        "benchmark", "model", "codec", "-c", checkpoint, "--model", "demo", "--quick",
        "--backends", "eager", "--precisions", "fp32,fp16", "--batches", "1,3", "--flip-test",
        "--device", "cpu", "--json", report, "--markdown", markdown,
    )  # fmt: skip
    assert "tiny.safetensors at 64x32, flip test" in " ".join(out.split())
    text = report.read_text()
    assert str(tmp_path) not in text
    assert str(checkpoint.parent) not in text
    values = json.loads(text)
    assert values["pose_hrnet_benchmark"] == 1
    assert values["machine"]["packages"]["torch"]
    found = values["measurements"]
    assert [m["section"] for m in found] == ["codec", "codec", "model", "model"]
    assert [m["amount"] for m in found[2:]] == [1, 3]
    for measured in found:
        rows = {row["variant"]: row for row in measured["rows"]}
        assert all(set(row) == ROW_KEYS for row in rows.values())
        assert rows[measured["baseline"]]["ratio"] == 1
        base = rows[measured["baseline"]]["ms_rounds"]
        for row in rows.values():
            assert bool(row["reason"]) == (row["ms"] is None)
            if row["ms"] is not None:
                ratios = sorted(b / own for b, own in zip(base, row["ms_rounds"], strict=True))
                assert row["ratio"] == pytest.approx(sum(ratios) / 2, rel=0.01)  # of two rounds
                assert row["per_second"] == pytest.approx(
                    measured["amount"] / row["ms"] * 1000, rel=0.01
                )
    variants = {row["variant"]: row["reason"] for row in found[2]["rows"]}
    assert list(variants) == [BASELINE, "eager fp32", "eager fp16"]
    assert "the CPU does not compute in fp16" in variants["eager fp16"]
    assert "| variant | ms |" in markdown.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backends", "eager,tensorrt"], "--backends has 'tensorrt'"),
        (["--batches", "1,0"], "--batches has '0'"),
        (["--workers", "two"], "--workers has 'two'"),
        (["--workers", f"1,{2**64}"], "give whole numbers from 0 to 1,024"),
        (["--batches", "9" * 5000], "give whole numbers from 1 to 65,536"),
        (["--rounds", f"{2**31}"], "1<=x<=1000"),
        (["--images", "folder"], "--images needs the --annotations"),
        (["--model", "coco_w33"], "no configuration 'coco_w33'"),
        (["loading", "model", "-c", "none.pth", "--model", "demo"], "no such model file"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["benchmark", "--quick", *arguments])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
