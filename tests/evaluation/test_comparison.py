"""Two models on the same images: what is said of them, and that it is so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import ttest_ind

from pose_hrnet.evaluation.scorer import FileTruth, score_file
from pose_hrnet.evaluation.statistics.bootstrap import Interval, Intervals, bootstrap
from pose_hrnet.evaluation.statistics.clusters import cluster_labels
from pose_hrnet.evaluation.statistics.comparison import compare_results, verdict
from pose_hrnet.evaluation.statistics.curves import Curves
from pose_hrnet.evaluation.statistics.paired import holm, swapped_p_value, welch
from pose_hrnet.evaluation.statistics.results import MatchedFile
from tests.helpers.coco_files import make_results, make_truth


def save(path, value):
    path.write_text(json.dumps(value))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Annotations of 60 images, and results of several precisions: the pixels they are off."""
    folder = tmp_path_factory.mktemp("compared")
    truth = make_truth(images=60)
    for at, image in enumerate(truth["images"]):
        image |= {"file_name": f"video{at // 3}/{at}.jpg", "video_id": at // 3}
    save(folder / "truth.json", truth)
    for name, noise, seed in (
        ("good", 3, 1), ("same", 3, 2), ("poor", 9, 3), ("good2", 3.2, 4), ("poor2", 8.5, 5)
    ):  # fmt: skip
        save(folder / f"{name}.json", make_results(truth, noise, seed=seed))
    return folder


def compare(folder, *sides, **options):
    paths = [[folder / f"{name}.json" for name in side.split()] for side in sides]
    return compare_results(paths, folder / "truth.json", **{"replicates": 100} | options)


def test_the_better_one_is_named_with_its_gain(folder):
    found = compare(folder, "poor", "good")
    (pair,) = found.pairs
    good, poor = (
        score_file(folder / "truth.json", folder / f"{name}.json")[0].values
        for name in ("good", "poor")
    )
    for name in good:
        interval = pair.differences.values[name]
        assert interval.value == pytest.approx(good[name] - poor[name], abs=1e-12)
        assert interval.low <= interval.high
    ap = pair.differences.values["AP"]
    assert pair.differs
    assert pair.p_value == 1 / 101
    assert pair.sentence == (
        f"B is better by {100 * ap.value:.1f} AP, 95 % interval {100 * ap.low:.1f} to "
        f"{100 * ap.high:.1f}, p = 0.0099"
    )
    (turned,) = compare(folder, "good", "poor").pairs
    assert turned.sentence == pair.sentence.replace("B is", "A is")
    changes = [abs(image.change) for image in pair.images]
    assert changes == sorted(changes, reverse=True)
    assert sum(image.persons for image in pair.images) == found.counts["persons"]
    sizes = [abs(interval.value) for _, interval in pair.keypoints()]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 17
    json.dumps(found.to_dict())


def test_what_cannot_be_told_is_said_so(folder):
    (pair,) = compare(folder, "good", "same").pairs
    assert not pair.differs
    assert pair.sentence.startswith("it cannot be told which of A and B is better: B minus A is ")


def test_equal_files_are_equal(folder, tmp_path):
    copied = tmp_path / "copied.json"
    copied.write_text((folder / "good.json").read_text())
    found = compare_results(
        [[folder / "good.json"], [copied]], folder / "truth.json", replicates=20
    )
    assert found.pairs[0].sentence == "B and A are equal in AP, AR, PCK and OKS"
    assert found.pairs[0].p_value == 1


def test_of_three_all_pairs_are_adjusted_together(folder):
    three = compare(folder, "good", "same", "poor", replicates=60)
    assert [(pair.first, pair.second) for pair in three.pairs] == [
        ("A", "B"), ("A", "C"), ("B", "C")
    ]  # fmt: skip
    assert three.pairs[1].sentence.startswith("A is better than C by ")
    alone = [
        compare(folder, *pair, replicates=60).pairs[0].p_value
        for pair in (("good", "same"), ("good", "poor"), ("same", "poor"))
    ]
    assert [pair.p_value for pair in three.pairs] == pytest.approx(holm(alone))


def test_too_few_permutations_for_so_many_pairs_are_told_of(folder):
    found = compare(folder, "good", "same", "poor", replicates=20)
    assert found.notes[0].startswith(
        "3 pairs and 20 permutations give no p value below 0.14, so that no model can be told to"
    )
    assert not any(pair.differs for pair in found.pairs)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02]) == [0.02]


def test_several_trainings_are_said_apart(folder):
    (pair,) = compare(folder, "poor poor2", "good good2").pairs
    aps = {
        name: score_file(folder / "truth.json", folder / f"{name}.json")[0].values["AP"]
        for name in ("poor", "poor2", "good", "good2")
    }
    assert pair.trainings.first == pytest.approx((aps["poor"], aps["poor2"]))
    mean = (aps["good"] + aps["good2"] - aps["poor"] - aps["poor2"]) / 2
    assert pair.differences.values["AP"].value == pytest.approx(mean)
    assert " over images " in pair.sentence
    assert ", over trainings " in pair.sentence
    (one,) = compare(folder, "poor", "good good2").pairs
    assert one.trainings.difference.low is None
    assert "over trainings" not in one.sentence


def test_an_interval_over_trainings_that_holds_zero_tells_nothing(folder):
    """Sure over images, but one training of two is as good as the others: perhaps luck."""
    (pair,) = compare(folder, "good poor2", "good2 same").pairs
    ap = pair.differences.values["AP"]
    assert ap.excludes_zero
    assert pair.p_value < 0.05
    assert not pair.trainings.difference.excludes_zero
    assert pair.sentence.startswith("it cannot be told")


def test_welch_is_that_of_scipy():
    for first, second in (([1, 2, 3], [3, 5, 7]), ([0.6, 0.7], [0.65, 0.61, 0.7, 0.72])):
        found = welch(first, second).difference
        expected = ttest_ind(second, first, equal_var=False).confidence_interval()
        assert found.value == pytest.approx(np.mean(second) - np.mean(first))
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert welch([1, 1], [2, 2]).difference == Interval(1, 1, 1)


def test_swapping_all_images_of_a_file_swaps_the_files(folder):
    truth = FileTruth.of(folder / "truth.json")
    files = [MatchedFile.of(truth, folder / f"{name}.json") for name in ("good", "poor")]
    joined, images = Curves.joined([file.ap for file in files]), files[0].ap.images
    once, none = np.ones((1, images), int), np.zeros((1, images), int)
    for weights, file in (((once, none), files[0]), ((none, once), files[1])):
        expected = file.matched.evaluation.stats[0]
        assert joined.weighted(np.hstack(weights))[0, 0] == pytest.approx(expected, abs=1e-12)


def test_images_of_two_files_together_score_as_a_file_made_of_them(folder, tmp_path):
    """Equal scores of several images stand in the order of the images, not of the files."""
    truth = FileTruth.of(folder / "truth.json")
    files = [MatchedFile.of(truth, folder / f"{name}.json") for name in ("good", "poor")]
    ids = files[0].image_ids
    chosen = np.random.default_rng(0).integers(0, 2, len(ids))
    side = dict(zip(ids, chosen, strict=True))
    rows = [json.loads((folder / f"{name}.json").read_text()) for name in ("good", "poor")]
    mixed = [row for at in (0, 1) for row in rows[at] if side[row["image_id"]] == at]
    expected = score_file(folder / "truth.json", save(tmp_path / "mixed.json", mixed))[0]
    weights = np.hstack([1 - chosen, chosen])[None]
    found = Curves.joined([file.ap for file in files]).weighted(weights)[0, 0]
    assert found == pytest.approx(expected.values["AP"], abs=1e-12)


@pytest.mark.slow
def test_p_values_of_equally_good_models_are_uniform():
    """Of equally good models, one in ten pairs has a p value below 0.1."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        pair = [equal_model(rng) for _ in range(2)]
        found.append(swapped_p_value(*([each] for each in pair), permutations=99))
    assert 0.06 < np.mean(np.array(found) <= 0.1) < 0.14
    assert 0.46 < np.mean(found) < 0.54


def equal_model(rng, images=30, persons=2):
    """AP of a model that finds a person in 70 % of the cases, at random."""
    from pose_hrnet.evaluation.statistics.curves import Ranking

    count = images * persons
    right = np.repeat((rng.random(count) < 0.7)[None, None], 10, 1).repeat(3, 0)
    ranking = Ranking.of(
        np.repeat(np.arange(images), persons),
        rng.random(count),
        right,
        ~right,
        np.full((3, images), persons),
    )
    return Curves(("AP",), (ranking,), np.linspace(0, 1, 101), images)


def test_clusters_of_a_field_of_the_images_of_annotations_and_of_folders(folder, tmp_path):
    truth = FileTruth.of(folder / "truth.json")
    by_id = cluster_labels(folder / "truth.json", truth, "video_id")
    by_folder = cluster_labels(folder / "truth.json", truth, "folder")
    assert len(set(by_id)) == len(set(by_folder)) == 20
    assert [f"video{label}" for label in by_id] == by_folder
    content = json.loads((folder / "truth.json").read_text())
    for person in content["annotations"]:
        person["subject"] = "one" if person["image_id"] in (5, 15, 25) else person["image_id"]
    content["annotations"][0]["subject"] = 35  # is seen in image 5, too
    path = save(tmp_path / "subjects.json", content)
    labels = cluster_labels(path, FileTruth.of(path), "subject")
    assert len(set(labels[:4])) == 1
    assert len(set(labels)) == 57


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (
            "videoid",
            "of .* have a field 'videoid'; give one of area, bbox, .*, video_id, or folder",
        ),
        ('a"b', "have a field 'a\"b'; give one of"),
        ("\x1b[31m", r"have a field '\\x1b\[31m'; give one of"),
        ("file_name", None),
        ("id", None),
        ("image_id", None),
        ("scene", "1 of 60 images of .* have no 'scene'"),
        ("place", "all images of .* have the same place, 'here'"),
    ],
)
def test_cluster_fields_that_do_not_fit(folder, tmp_path, key, told):
    content = json.loads((folder / "truth.json").read_text())
    for at, image in enumerate(content["images"]):
        image |= {"place": "here"} | ({"scene": at} if at else {})
    path = save(tmp_path / "truth.json", content)
    truth = FileTruth.of(path)
    if told is None:
        assert len(set(cluster_labels(path, truth, key))) == 60
        return
    with pytest.raises(ValueError, match=told):
        cluster_labels(path, truth, key)


def test_clusters_widen_the_interval_of_what_is_alike(folder):
    apart, together = (
        compare(folder, "good", "poor", clusters=labels, unit="video").pairs[0]
        for labels in (None, [at // 20 for at in range(60)])
    )
    assert together.differences.units == 3
    assert together.p_value >= 0.25 > apart.p_value  # three videos can be swapped in 4 ways


def note(folder, rows, tmp_path):
    """The notes on a file beside that of good results."""
    path = save(tmp_path / "rows.json", rows)
    found = compare_results([[folder / "good.json"], [path]], folder / "truth.json", replicates=20)
    values = [v.in_words() for side in found.sides for v in side.values.values.values()]
    assert not any("nan" in value for value in values)
    return [each.replace(str(path), "B") for each in found.notes]


def test_odd_results_are_told_of(folder, tmp_path):
    good = json.loads((folder / "good.json").read_text())
    assert note(folder, [], tmp_path)[0] == "B has no result: every person counts as missed"
    assert note(folder, [*good, *good[:7]], tmp_path)[0].startswith(
        f"7 of {len(good) + 7} results of B stand there before, equal in every number"
    )
    far = [row | {"keypoints": [v + 5000 for v in row["keypoints"]]} for row in good]
    assert note(folder, far, tmp_path)[0].startswith("no result of B comes near a person of ")
    fewer = [row for row in good if row["image_id"] > 30]
    assert "B has no result on 3 images with persons where another file has some" in " ".join(
        note(folder, fewer, tmp_path)
    )


def test_results_of_other_images_are_refused(folder, tmp_path):
    good = json.loads((folder / "good.json").read_text())
    paths = [
        save(tmp_path / f"{at}.json", [row for row in good if (row["image_id"] > 300) == at])
        for at in (0, 1)
    ]
    with pytest.raises(ValueError, match="have results on no common image; give results on"):
        compare_results([[path] for path in paths], folder / "truth.json")
    stray = save(tmp_path / "stray.json", [row | {"image_id": 7} for row in good])
    with pytest.raises(ValueError, match=r"does not list, such as 7; give the annotations"):
        compare_results([[folder / "good.json"], [stray]], folder / "truth.json")
    with pytest.raises(ValueError, match="results of 1 model were given to compare; give those"):
        compare_results([[folder / "good.json"]], folder / "truth.json")


def test_one_image_has_numbers_but_no_interval(tmp_path):
    truth = make_truth(images=2)
    truth["images"] = truth["images"][1:]
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] == 5]
    path = save(tmp_path / "truth.json", truth)
    files = [
        [save(tmp_path / f"{seed}.json", make_results(truth, 8 * seed, seed=seed))]
        for seed in (1, 2)
    ]
    found = compare_results(files, path, replicates=20)
    assert found.notes == ("one image says nothing of others: there are no intervals",)
    assert found.pairs[0].sentence.startswith("it cannot be told which of A and B is better")
    assert "95 % interval unknown" in found.pairs[0].sentence
    file = MatchedFile.of(FileTruth.of(path), files[0][0])
    values = bootstrap(file.everything, replicates=20).intervals().values
    assert values["AP"].in_words().endswith(" [-]")


@pytest.mark.parametrize(("p_value", "is_better"), [(0.049, True), (0.05, False)])
def test_a_p_value_of_exactly_005_is_not_below_it(p_value, is_better):
    gain = Intervals({"AP": Interval(0.1, 0.05, 0.15)}, 200, "image", 999, 0, 0.95, ())
    assert verdict("A", "B", gain, p_value)[1] == is_better
