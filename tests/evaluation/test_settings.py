"""Every choice decodes the same heatmaps; the own row is `evaluate`'s; the fitting codec wins."""

from __future__ import annotations

import json
import weakref

import numpy as np
import pytest
import torch

from pose_hrnet.config.data import DataSet
from pose_hrnet.config.recipe import EvaluateConfig
from pose_hrnet.data.crops import CropDataset
from pose_hrnet.data.people import labelled_people, load_people
from pose_hrnet.evaluation.evaluate import evaluate
from pose_hrnet.evaluation.settings import Combination, combinations, compare_settings
from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.skeleton import COCO17
from pose_hrnet.models.card import ModelCard
from pose_hrnet.models.hrnet import HRNet
from pose_hrnet.models.weights.load import save_model
from tests.helpers.builders import (
    make_people,
    mirrored_points,
    write_annotations,
    write_images,
)
from tests.helpers.command_line import run_here
from tests.helpers.pose_models import pose_model

ALL = ("flip", "shift", "codec", "nms")
PERSONS = 20


def make_card(name, input_wh=(64, 64), architecture=None):
    codec = HeatmapCodec(name, input_wh, sigma=1.5)
    return ModelCard(architecture or {"num_keypoints": 17}, COCO17, codec)


def key(pixels):
    """What tells one ``(3, H, W)`` crop from another."""
    return pixels.numpy().tobytes()


class PerfectNetwork(torch.nn.Module):
    """Trained for `codec` and never wrong: it knows the keypoints of every crop by its pixels."""

    def __init__(self, data, codec):
        super().__init__()
        self.codec, self.answers = codec, {}
        self.crops_seen, self.heatmaps, self.alive = 0, [], []
        people = labelled_people(load_people(data.annotations))
        for name in ("gaussian", "udp"):
            crops = CropDataset(people, data.images, codec.as_codec(name), 1.25)
            for row in range(len(people)):
                crop = crops[0, row]
                pixels, points = crop.pixels.permute(2, 0, 1), crop.keypoints_input
                mirrored = mirrored_points(points, codec.input_wh[0])
                self.answers[key(pixels)] = points
                self.answers[key(pixels.flip(-1))] = mirrored[list(COCO17.flip_index)]

    def forward(self, images):
        self.crops_seen += len(images)
        self.alive.append(sum(heatmaps() is not None for heatmaps in self.heatmaps))
        points = torch.stack([self.answers[key(image)] for image in images])
        array = self.codec.encode(points, torch.ones(points.shape[:2]))[0].numpy().copy()
        self.heatmaps.append(weakref.ref(array))
        return torch.from_numpy(array)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    people = make_people(PERSONS, seed=1)
    return DataSet(
        annotations=write_annotations(people, folder / "people.json"),
        images=write_images(people, folder / "images"),
    )


def run(data, trained_for, card, compared, **settings):
    """Compare a perfect network of one codec under a card that may say another."""
    network = PerfectNetwork(data, HeatmapCodec(trained_for, card.codec.input_wh, sigma=1.5))
    test = EvaluateConfig(**{"batch_size": 6, **settings})
    return compare_settings(pose_model(network, card), data, test, compared), network


def same(a, b):
    """Whether two evaluations agree to the last bit."""
    return (
        a.scores == b.scores
        and a.provenance == b.provenance
        and a.results == b.results
        and np.array_equal(a.poses.keypoints_image, b.poses.keypoints_image)
        and np.array_equal(a.poses.keypoint_scores, b.poses.keypoint_scores)
    )


@pytest.mark.parametrize("codec", ["gaussian", "dark", "udp"])
@pytest.mark.parametrize("settings", [{}, {"flip_test": False}, {"flip_shift": 3}])
def test_the_own_row_is_what_evaluate_gives_to_the_bit(data, codec, settings):
    """With a real, untrained network, whose heatmaps are noisy enough to show any difference."""
    torch.manual_seed(0)
    network = HRNet(width=8, num_keypoints=17, stem_width=8, stem_blocks=1, branch_blocks=1)
    card = make_card(codec, architecture=network.architecture)
    model = pose_model(network.train(), card, **settings)
    test = EvaluateConfig(batch_size=6, nms="oks" if settings else "none")
    expected = evaluate(model, data, test)
    comparison = compare_settings(model, data, test, ALL)
    assert same(comparison.own, expected)
    (own,) = [row for row in comparison.rows if row.combination == comparison.own_combination]
    assert own.scores == expected.scores
    assert own.combination.flip_shift == expected.provenance["flip_shift_cells"]
    assert network.training


def test_every_row_is_what_evaluate_gives_under_its_settings(data):
    comparison, network = run(data, "dark", make_card("dark"), ALL)
    assert len({row.ap for row in comparison.rows}) > 6
    for row in comparison.rows:
        choice = row.combination
        if choice.codec == "argmax":  # no codec of its own, so nothing that `evaluate` can do
            assert row.ap < comparison.own.scores.values["AP"]
            continue
        model = pose_model(
            network,
            make_card(choice.codec),
            flip_test=choice.flip_test,
            flip_shift=choice.flip_shift,
        )
        expected = evaluate(model, data, EvaluateConfig(batch_size=6, nms=choice.nms))
        assert row.scores == expected.scores, choice


@pytest.mark.parametrize(
    ("compared", "settings", "passes"),
    [
        (ALL, {}, 4),  # two views, two alignments
        (("flip", "shift", "nms"), {}, 2),
        (("nms",), {}, 2),
        (("nms",), {"flip_test": False}, 1),
        (("flip",), {"flip_test": False}, 2),
        (("codec",), {"flip_test": False}, 2),
    ],
)
def test_the_network_sees_each_view_once_per_alignment(data, compared, settings, passes):
    comparison, network = run(data, "dark", make_card("dark"), compared, **settings)
    assert network.crops_seen == passes * PERSONS
    assert comparison.network_crops == network.crops_seen


def test_heatmaps_are_dropped_batch_by_batch(data):
    """When the network runs, no heatmaps of an earlier batch are in memory any more."""
    _, network = run(data, "dark", make_card("dark"), ALL, batch_size=3)
    assert network.alive == [0] * (2 * 7)


@pytest.mark.parametrize(
    ("trained_for", "card", "best", "hint"),
    [
        ("udp", "dark", ("udp", 0), "with flip shift 0 and codec udp: its card may be wrong"),
        ("udp", "gaussian", ("udp", 0), "with flip shift 0 and codec udp: its card may be wrong"),
        ("dark", "udp", ("dark", 1), "with flip shift 1 and codec dark: its card may be wrong"),
        ("dark", "gaussian", ("dark", 1), "with codec dark: its card may be wrong"),
        ("dark", "dark", ("dark", 1), None),
        ("udp", "udp", ("udp", 0), None),
    ],
)
def test_the_codec_that_the_network_was_trained_for_wins(data, trained_for, card, best, hint):
    comparison, _ = run(data, trained_for, make_card(card), ("shift", "codec"))
    assert comparison.rows[0].combination.decoding == best
    assert comparison.rows[0].ap > comparison.rows[1].ap
    gain = comparison.rows[0].ap - comparison.own.scores.values["AP"]
    expected = hint and f"this checkpoint scores {100 * gain:.1f} AP higher {hint}"
    assert comparison.hint == expected


def test_a_gaussian_network_wants_shift_one_and_its_own_crops(data):
    """Without noise its rounded targets say no more to its own decoder than to dark's."""
    comparison, _ = run(data, "gaussian", make_card("udp"), ("shift", "codec"))
    best = {row.combination.decoding for row in comparison.rows[:2]}
    assert best == {("gaussian", 1), ("dark", 1)}
    assert "its card may be wrong" in comparison.hint


def test_a_wrong_setting_is_not_blamed_on_the_card(data):
    comparison, _ = run(data, "dark", make_card("dark"), ("flip", "shift"), flip_shift=3)
    assert comparison.own_combination == Combination("dark", 3, "oks")
    assert comparison.hint.endswith("that is a setting, not its card")
    simple, _ = run(data, "dark", make_card("dark"), ("flip", "nms"), flip_shift=3)
    assert "with no flip test: that" in simple.hint


def test_senseless_combinations_are_left_out_and_none_comes_twice():
    codec, test = HeatmapCodec("dark", (64, 64)), EvaluateConfig()
    every = combinations(codec, test, ALL)
    assert every[0] == Combination("dark", 1, "oks")
    assert len(every) == len(set(every)) == 4 * 3 * 4  # no shift without flip test
    assert {c.flip_shift for c in every} == {None, 0, 1}
    by_codec = combinations(codec, test, ("codec",))
    assert {c.decoding for c in by_codec} == {
        ("gaussian", 1), ("dark", 1), ("udp", 0), ("argmax", 1)
    }  # fmt: skip
    assert combinations(codec, test, ("flip",)) == (
        Combination("dark", 1, "oks"),
        Combination("dark", None, "oks"),
    )
    given = combinations(codec, EvaluateConfig(flip_shift=2), ("shift",))
    assert {c.flip_shift for c in given} == {0, 1, 2}
    with pytest.raises(ValueError, match="without the flip test"):
        combinations(codec, EvaluateConfig(flip_test=False), ("shift", "codec"))


def test_command_line(data, tmp_path):
    model = HRNet(width=8, num_keypoints=17, stem_width=8, stem_blocks=1, branch_blocks=1)
    card = make_card("dark", architecture=model.architecture)
    save_model(tmp_path / "tiny.safetensors", model.state_dict(), card)
    out, _ = run_here(
        *("evaluate", "--workers", 0, "--device", "cpu", "--compare", "flip,shift,codec,nms"),
        *("-c", tmp_path / "tiny.safetensors", "--output", tmp_path / "out"),
        *("--annotations", data.annotations, "--images", data.images),
    )
    assert "soft_oks_decayed" in out
    assert f"{4 * PERSONS} crops" in out
    assert "official, udp" in out
    written = json.loads((tmp_path / "out/comparison.json").read_text())
    assert len(written["rows"]) == 48
    (own,) = [row for row in written["rows"] if row["own"]]
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert own.items() >= {name: metrics[name] for name in ("AP", "AR", "APL")}.items()
    assert (own["codec"], own["flip_shift"], own["nms"]) == ("dark", 1, "oks")
    assert [row["best"] for row in written["rows"]] == [True] + [False] * 47
    assert written["evaluated"] == metrics["evaluated"]
    assert (tmp_path / "out/results.json").exists()
