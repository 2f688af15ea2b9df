"""Errors of keypoints as Ronchi and Perona tell them apart, one keypoint at a time."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_hrnet.keypoints.skeleton import COCO17

SIGMAS = np.array(COCO17.sigmas)
FLIP = COCO17.flip_index


def evaluated(truth, results, areas, thresholds):
    """A COCOeval of one size range, matched."""
    with redirect_stdout(io.StringIO()):
        sides = []
        for rows in (truth["annotations"], results):
            side = COCO()
            side.dataset = {**truth, "annotations": [dict(row) for row in rows]}
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "keypoints")
        evaluation.params.areaRng, evaluation.params.iouThrs = [list(areas)], np.array(thresholds)
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
    return evaluation


def precision(evaluation):
    """AP at each threshold."""
    with redirect_stdout(io.StringIO()):
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0].mean(axis=1)


def similarity(point, person, k, place):
    x, y, v = person["keypoints"][3 * place : 3 * place + 3]
    square = (point[0] - x) ** 2 + (point[1] - y) ** 2
    return np.exp(-square / (2 * SIGMAS[k]) ** 2 / person["area"] / 2) if v else -1.0


def kinds_of(truth, results, areas):
    """{result id: [(kind, similarity to the best place) or None, of each keypoint]}, and whose."""
    matches, kinds = {}, {}
    persons = {row["id"]: row for row in truth["annotations"]}
    for entry in filter(None, evaluated(truth, results, areas, [0.1]).evalImgs):
        matches.update(zip(entry["dtIds"], entry["dtMatches"][0].astype(int), strict=True))
    for row in results:
        own = persons.get(matches.get(row["id"], 0))
        if own is None or not own["num_keypoints"]:
            continue
        others = [
            p for p in truth["annotations"] if p["image_id"] == row["image_id"] and p is not own
        ]
        kinds[row["id"]] = own, []
        for k in range(17):
            point = row["keypoints"][3 * k : 3 * k + 2]
            places = [(similarity(point, own, k, k), "own")]
            places += [(similarity(point, p, k, k), "swap") for p in others]
            places += [(similarity(point, own, k, FLIP[k]), "inversion")]
            places += [(similarity(point, p, k, FLIP[k]), "swap") for p in others]
            best, kind = max(places, key=lambda place: place[0])
            if kind == "own":
                kind = "good" if best > 0.85 else "jitter"
            known = own["keypoints"][3 * k + 2] > 0
            kinds[row["id"]][1].append((kind if best >= 0.5 else "miss", best) if known else None)
    return kinds


def corrected(results, kinds, names, per_sigma):
    """The results with the keypoints of some kinds moved."""
    moved = []
    for row in results:
        points = list(row["keypoints"])
        own, judged = kinds.get(row["id"], (None, []))
        for k, found in enumerate(judged):
            if found is not None and found[0] in names:
                aim = {"miss": 0.5, "jitter": 0.85}.get(found[0], found[1])
                distance = np.sqrt(-2 * np.log(aim) * own["area"]) * per_sigma * SIGMAS[k]
                x, y = own["keypoints"][3 * k : 3 * k + 2]
                points[3 * k : 3 * k + 2] = [x + distance * (1 - 1e-9), y]
        moved.append({**row, "keypoints": points})
    return moved


def rescored(truth, results, areas):
    """The results with their best OKS as scores, decayed by soft NMS."""
    evaluation = evaluated(truth, results, areas, [0.5])
    best = dict.fromkeys((row["id"] for row in results), 0.0)
    for image in {row["image_id"] for row in results}:
        inside = [row for row in results if row["image_id"] == image]
        # Of all results, in the order of their scores as pycocotools puts them.
        evaluation.params.maxDets = [len(inside)]
        oks = evaluation.computeOks(image, 1)
        order = np.argsort([-row["score"] for row in inside], kind="mergesort")
        persons = [row for row in truth["annotations"] if row["image_id"] == image]
        for g, person in enumerate(persons):
            ignored = person["iscrowd"] or not person["num_keypoints"]
            if ignored or not areas[0] <= person["area"] <= areas[1]:
                continue
            for d, at in enumerate(order):
                name = inside[at]["id"]
                best[name] = max(best[name], oks[d, g])
        waiting = list(inside)
        while waiting:
            first = max(waiting, key=lambda row: best[row["id"]])
            waiting.remove(first)
            for row in waiting:
                best[row["id"]] *= np.exp(-(_oks(first, row) ** 2) / 0.5)
    return [{**row, "score": best[row["id"]]} for row in results]


def _oks(a, b):
    points = [np.reshape(row["keypoints"], (17, 3))[:, :2] for row in (a, b)]
    area = np.mean([np.ptp(p, axis=0).prod() for p in points])
    squares = ((points[0] - points[1]) ** 2).sum(axis=1)
    return np.exp(-squares / (2 * SIGMAS) ** 2 / area / 2).mean()


def without(truth, results, areas, thresholds, *, background=False, missed=False):
    """AP where what finds nobody, and who is not found, is ignored, at each threshold."""
    values = []
    for threshold in thresholds:
        evaluation = evaluated(truth, results, areas, [threshold])
        for entry in filter(None, evaluation.evalImgs):
            if background:
                entry["dtIgnore"] = entry["dtIgnore"] | (entry["dtMatches"] == 0)
            if missed:
                unfound = (entry["gtMatches"][0] == 0).astype(int)
                entry["gtIgnore"] = np.maximum(entry["gtIgnore"], unfound)
        values += precision(evaluation).tolist()
    return np.array(values)
