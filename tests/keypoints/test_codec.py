"""Encode against decode, and both against the official numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pose_hrnet.keypoints.codec import HeatmapCodec
from pose_hrnet.keypoints.geometry import CropFrames
from pose_hrnet.keypoints.skeleton import COCO17
from tests.helpers.builders import mirrored_points

CODEC = HeatmapCodec()
DARK = HeatmapCodec("dark")
UDP = HeatmapCodec("udp")


def frames_of(reference, alignment):
    """The crops that a reference file says how it cut."""
    return CropFrames.of_regions(
        reference["center"], reference["scale"] * 200, (192, 256), alignment
    )


def continuous_keypoints(n: int, seed: int = 0) -> torch.Tensor:
    """``(n, 17, 2)`` input pixels, away from the border, at no special place in a cell."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(n, 17, 2, generator=generator)
    return points * torch.tensor([192 - 40, 256 - 40]) + 20


def test_decoding_an_encoded_point_is_unbiased_and_bounded():
    points = continuous_keypoints(400)
    heatmaps, _ = CODEC.encode(points, torch.ones(400, 17))
    decoded, scores = CODEC.decode(heatmaps)
    error = decoded - points
    # The target is centred on the rounded cell: half a cell (2 px) is lost there, no more, and
    # evenly to both sides. The Gaussian is symmetric, so that no quarter step is taken.
    assert error.abs().max() <= 2.0 + 1e-4
    assert error.mean(dim=(0, 1)).abs().max() < 0.05
    assert scores.min() == 1.0


def test_decoding_an_unrounded_gaussian_lands_within_half_a_cell():
    """A network interpolates between cells; the quarter step then halves the error."""
    points = continuous_keypoints(50)
    cells = points / CODEC.stride
    height, width = CODEC.heatmap_hw
    x = torch.arange(width) - cells[..., :1]
    y = torch.arange(height) - cells[..., 1:]
    heatmaps = torch.exp(-(y[..., :, None] ** 2 + x[..., None, :] ** 2) / (2 * CODEC.sigma**2))
    error = CODEC.decode(heatmaps)[0] - points
    assert error.abs().max() <= 1.0 + 1e-4
    assert error.mean(dim=(0, 1)).abs().max() < 0.05


# UDP's target is cut at 3 sigma, which the blur of its decoder feels.
@pytest.mark.parametrize(("codec", "worst", "bias"), [(DARK, 0.05, 1e-3), (UDP, 0.15, 5e-3)])
def test_sub_cell_codecs_recover_continuous_points(codec: HeatmapCodec, worst: float, bias: float):
    points = continuous_keypoints(400)
    error = codec.decode(codec.encode(points, torch.ones(400, 17))[0])[0] - points
    rounded = CODEC.decode(CODEC.encode(points, torch.ones(400, 17))[0])[0] - points
    assert error.abs().max() < worst
    assert error.mean(dim=(0, 1)).abs().max() < bias
    assert error.norm(dim=-1).mean() * 5 < rounded.norm(dim=-1).mean()


def test_udp_steps_from_border_peaks_and_leaves_empty_maps_alone():
    points = torch.tensor([[[1.0, 254.0], [190.0, 2.0], [96.0, 128.0]]])
    heatmaps, _ = UDP.encode(points, torch.tensor([[1, 1, 0]]))
    decoded, scores = UDP.decode(heatmaps)
    # What the blur misses beyond the border pulls the estimate inwards, by about a cell.
    assert (decoded - points)[0, :2].abs().max() < 1.25 * UDP.stride
    assert decoded[0, 2].tolist() == [0, 0]
    assert scores[0, 2] == 0


def test_dark_leaves_border_peaks_and_flat_maps_alone():
    heatmaps = torch.zeros(1, 3, 64, 48)
    heatmaps[0, 0, 1, 30] = 1.0
    heatmaps[0, 1, 20, 46] = 1.0
    heatmaps[0, 2] = 0.5
    decoded, _ = DARK.decode(heatmaps)
    assert decoded[0].tolist() == [[120, 4], [184, 80], [0, 0]]


def test_weights_are_zero_for_unlabelled_and_far_keypoints():
    points = torch.tensor(
        [[[50.0, 50.0], [50.0, 50.0], [-40.0, 50.0], [192.0 + 24, 50.0], [-9, 9]]]
    )
    heatmaps, weights = CODEC.encode(points, torch.tensor([[1, 0, 1, 1, 2]]))
    assert weights.tolist() == [[1, 0, 0, 0, 1]]
    peaks = heatmaps.amax(dim=(2, 3))[0]
    assert peaks[[0, 1, 2, 3]].tolist() == [1, 0, 0, 0]
    assert 0 < peaks[4] < 1


def test_heatmap_is_cut_at_three_sigma():
    heatmaps, _ = CODEC.encode(torch.tensor([[[96.0, 128.0]]]), torch.ones(1, 1))
    on = heatmaps[0, 0] > 0
    assert int(on.sum()) == 13 * 13
    assert heatmaps[0, 0, 32, 24] == 1.0
    assert heatmaps[0, 0, 32, 26].item() == pytest.approx(np.exp(-0.5))


def test_heatmaps_without_a_positive_value_decode_to_the_origin_with_their_score():
    points, scores = CODEC.decode(torch.full((1, 2, 64, 48), -0.5))
    assert points.abs().max() == 0
    assert scores.tolist() == [[-0.5, -0.5]]


def test_half_precision_decodes_like_single():
    heatmaps = torch.rand(2, 17, 64, 48, generator=torch.Generator().manual_seed(0)).bfloat16()
    torch.testing.assert_close(CODEC.decode(heatmaps)[0], CODEC.decode(heatmaps.float())[0])


def test_flip_back_undoes_a_flip_up_to_the_documented_offset():
    """Cell i stands at pixel 4 i: the unshifted map is 0.75 cells left, the shifted 0.25 right."""
    points = continuous_keypoints(200)
    mirrored = mirrored_points(points, 192)
    mirrored = mirrored[:, list(COCO17.flip_index)]
    heatmaps, _ = CODEC.encode(mirrored, torch.ones(200, 17))
    for shift, offset in ((0, -0.75), (1, 0.25)):
        restored = CODEC.flip_back(heatmaps, COCO17.flip_index, shift=shift)
        error = (CODEC.decode(restored)[0] - points)[..., 0].mean() / CODEC.stride
        assert error.item() == pytest.approx(offset, abs=0.02)


def test_udp_flips_back_without_a_shift():
    points = continuous_keypoints(50)
    heatmaps, _ = UDP.encode(points, torch.ones(50, 17))
    mirrored = mirrored_points(points, 192)
    flipped, _ = UDP.encode(mirrored[:, list(COCO17.flip_index)], torch.ones(50, 17))
    assert UDP.flip_shift == 0
    torch.testing.assert_close(
        UDP.flip_back(flipped, COCO17.flip_index), heatmaps, atol=1e-4, rtol=0
    )


def test_flipping_back_twice_without_shift_is_identity():
    heatmaps = torch.rand(2, 17, 64, 48)
    once = CODEC.flip_back(heatmaps, COCO17.flip_index, shift=0)
    torch.testing.assert_close(CODEC.flip_back(once, COCO17.flip_index, shift=0), heatmaps)


def test_flip_shift_must_fit_the_heatmap():
    with pytest.raises(ValueError, match="flip shift is 48 cells; expected 0 to 47"):
        CODEC.flip_back(torch.zeros(1, 17, 64, 48), COCO17.flip_index, shift=48)


def test_dict_round_trip_and_bad_values():
    codec = HeatmapCodec(input_wh=(96, 128), sigma=1.5)
    assert HeatmapCodec.from_dict(codec.to_dict()) == codec
    with pytest.raises(ValueError, match="multiples of the stride"):
        HeatmapCodec(input_wh=(97, 128))
    with pytest.raises(ValueError, match="unknown"):
        HeatmapCodec(name="gausian")
    with pytest.raises(ValueError, match="odd"):
        HeatmapCodec(blur_kernel=4)


def test_encode_equals_the_official_target(shared: Path):
    reference = np.load(shared / "reference" / "crops_coco_sample.npz")
    heatmaps, weights = CODEC.encode(
        torch.from_numpy(reference["joints_in"]), torch.from_numpy(reference["vis"])
    )
    np.testing.assert_array_equal(weights, reference["target_weight"].reshape(weights.shape))
    np.testing.assert_array_equal(heatmaps.numpy().astype(np.float16), reference["target"])


def test_decode_equals_the_official_decoder(shared: Path):
    reference = np.load(shared / "reference" / "decode.npz")
    heatmaps = torch.from_numpy(reference["heatmaps"]).float()
    frames = frames_of(reference, "official")
    peaks, scores = CODEC.peaks(heatmaps)
    refined, _ = CODEC.decode(heatmaps)
    for points_input, key in (
        (peaks * CODEC.stride, "argmax_image"),
        (refined, "quarter_shift_image"),
    ):
        points_image = frames.to_image(points_input.numpy())
        np.testing.assert_allclose(points_image, reference[key], atol=1e-3)
    np.testing.assert_array_equal(scores.numpy(), reference["score"].reshape(scores.shape))


def test_dark_equals_its_reference(shared: Path):
    crops = np.load(shared / "reference" / "crops_coco_sample.npz")
    heatmaps, _ = DARK.encode(torch.from_numpy(crops["joints_in"]), torch.from_numpy(crops["vis"]))
    np.testing.assert_allclose(heatmaps.numpy(), crops["unbiased_target"], atol=5e-4)
    maps = np.load(shared / "reference" / "decode.npz")
    points, _ = DARK.decode(torch.from_numpy(maps["heatmaps"]).float())
    frames = frames_of(maps, "official")
    error = np.abs(frames.to_image(points.numpy()) - maps["dark_image"])
    assert np.median(error) < 1e-3
    assert np.percentile(error, 99) < 1e-3
    # One keypoint is 0.05 px off: a nearly singular Hessian magnifies float32 rounding.
    assert error.max() < 0.06


def test_udp_equals_its_reference(shared: Path):
    crops = np.load(shared / "reference" / "crops_coco_sample.npz")
    frames = frames_of(crops, UDP.alignment)
    np.testing.assert_allclose(frames.affines, crops["udp_affine"], atol=1e-4)
    points = torch.from_numpy(frames.to_input(crops["joints_image"]))
    heatmaps, _ = UDP.encode(points, torch.from_numpy(crops["vis"]))
    np.testing.assert_allclose(heatmaps.numpy(), crops["udp_target"], atol=5e-4)

    maps = np.load(shared / "reference" / "decode.npz")
    points_input = UDP.decode(torch.from_numpy(maps["heatmaps"]).float())[0].numpy()
    # MMPose's codec gives cell * W / (w - 1), and its way back to the image divides by W.
    size, region = np.array([192, 256]), maps["scale"] * 200
    points_image = maps["udp_input"] / size * region[:, None]
    points_image += (maps["center"] - region / 2)[:, None]
    seen = maps["score"].reshape(6, 17) > 0  # elsewhere the reference steps from cell (-1, -1)
    assert seen.sum() == 6 * 17 - 1
    in_crop = maps["udp_input"] * (size - 1) / size
    np.testing.assert_allclose(points_input[seen], in_crop[seen], atol=1e-3)
    found_image = frames_of(maps, UDP.alignment).to_image(points_input)
    np.testing.assert_allclose(found_image[seen], points_image[seen], atol=1e-3)


@pytest.mark.parametrize("name", ["dark", "udp"])
def test_a_border_true_codec_decodes_what_it_encoded_at_the_border(name):
    codec = HeatmapCodec(name, border_true=True)
    points = torch.tensor([[[1.0, 254.0], [190.0, 2.0], [0.0, 100.0], [90.0, 255.0]]])
    heatmaps, _ = codec.encode(points, torch.ones(1, 4))
    assert (codec.decode(heatmaps)[0] - points).abs().max() < 0.05
    assert HeatmapCodec.from_dict(codec.to_dict()) == codec
    assert "border_true" not in HeatmapCodec(name).to_dict()  # as earlier versions read it


def test_flip_back_equals_the_official_one(shared: Path):
    reference = np.load(shared / "reference" / "decode.npz")
    heatmaps = torch.from_numpy(reference["heatmaps"][:2]).float()
    for key, shift in (("flip_back", 0), ("flip_back_shifted", None)):
        restored = CODEC.flip_back(heatmaps, COCO17.flip_index, shift=shift)
        np.testing.assert_array_equal(restored.numpy(), reference[key].astype(np.float32))


@pytest.mark.parametrize("name", ["gaussian", "dark", "udp"])
def test_unrefined_decoding_is_the_centre_of_the_highest_cell(name):
    codec = HeatmapCodec(name, (96, 128))
    cells = torch.tensor([[[5.0, 7.0], [13.0, 21.0]]])
    pitch = torch.tensor([95 / 23, 127 / 31]) if name == "udp" else torch.tensor([4.0, 4.0])
    heatmaps, _ = codec.encode((cells + 0.3) * pitch, torch.ones(1, 2))
    plain, scores = codec.decode(heatmaps, refine=False)
    torch.testing.assert_close(plain, cells * pitch)
    torch.testing.assert_close(scores, codec.decode(heatmaps)[1])


@pytest.mark.parametrize("codec", [CODEC, DARK, UDP])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1.0])
def test_flat_and_broken_heatmaps_decode_to_numbers(codec: HeatmapCodec, value: float):
    points, _ = codec.decode(torch.full((1, 2, 64, 48), value, requires_grad=True))
    assert points.isfinite().all()


def test_a_gaussian_that_ends_one_cell_before_the_heatmap_counts_as_in_the_official_code():
    heatmaps, weights = CODEC.encode(
        torch.tensor([[[-30.0, 50.0], [-34.1, 50.0]]]), torch.ones(1, 2)
    )
    assert weights.tolist() == [[1, 0]]
    assert heatmaps.amax() == 0


def test_another_codecs_rules_have_its_own_shift():
    odd = HeatmapCodec("gaussian", own_flip_shift=0)
    assert (odd.flip_shift, odd.as_codec("gaussian").flip_shift) == (0, 0)
    assert (odd.as_codec("dark").flip_shift, odd.as_codec("udp").flip_shift) == (1, 0)
