"""COCO ground truth and results, made up, and what pycocotools makes of them."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pose_hrnet.evaluation.metrics.coco_ap import COCO_METRICS

K = 17


def annotate(number, image_id, keypoints, area, bbox):
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "keypoints": keypoints.astype(int).ravel().tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "bbox": bbox,
        "area": area,
        "iscrowd": 0,
    }


def detect(image_id, keypoints, score):
    flat = keypoints.ravel().tolist()
    return {"image_id": image_id, "category_id": 1, "keypoints": flat, "score": score}


def make_truth(seed=0, images=6, num_keypoints=K, image_id=lambda i: 10 * i + 5):
    """Annotations of medium and large persons, some keypoints unlabelled; at the end
    one person without keypoints and one crowd."""
    rng = np.random.default_rng(seed)
    annotations = []
    for i in range(images * 2):
        size = (60, 80) if i % 2 else (150, 250)
        x, y, w, h = *rng.uniform(0, 200, 2), *size
        keypoints = rng.uniform((x, y, 0), (x + w, y + h, 3), (num_keypoints, 3)).round()
        keypoints[:, 2] = keypoints[:, 2].clip(0, 2)
        keypoints[keypoints[:, 2] == 0] = 0
        bbox = [x, y, w, h]
        annotations.append(annotate(i + 1, image_id(i // 2), keypoints, 0.6 * w * h, bbox))
    annotations[-1]["iscrowd"] = 1
    annotations[-2] |= {"num_keypoints": 0, "keypoints": [0] * 3 * num_keypoints}
    return {
        "images": [{"id": image_id(i)} for i in reversed(range(images))],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": annotations,
    }


def make_results(truth, noise, seed=1):
    """Keypoints of the labelled persons, moved by `noise` pixels; scores repeat in places."""
    rng = np.random.default_rng(seed)
    results = []
    for annotation in truth["annotations"]:
        if annotation["iscrowd"] or not annotation["num_keypoints"]:
            continue
        keypoints = np.array(annotation["keypoints"], float).reshape(-1, 3)
        keypoints[:, :2] += rng.normal(0, 1, keypoints[:, :2].shape) * noise
        keypoints[:, 2] = rng.random(len(keypoints))
        results.append(detect(annotation["image_id"], keypoints, round(rng.random(), 1)))
    return results


def raw_pycocotools(truth, results, sigmas=None, image_ids=None):
    """The ten numbers as pycocotools gives them for the files, without this package."""
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(truth))
        evaluation = COCOeval(coco, coco.loadRes(str(results)), "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        if image_ids is not None:
            evaluation.params.imgIds = image_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(COCO_METRICS, evaluation.stats.tolist(), strict=True))
