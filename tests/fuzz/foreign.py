"""Good files of other programs, tiny: annotations for `data convert`, box files, a detector."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml

from tests.helpers.detectors import write_card, write_constant

_CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><job><labels>
<label><name>person</name><type>skeleton</type></label>
<label><name>nose</name><type>points</type><parent>person</parent></label>
<label><name>left_eye</name><type>points</type><parent>person</parent></label>
</labels></job></meta>
<image id="0" name="000001.png" width="160" height="120">
<skeleton label="person" group_id="4">
<points label="nose" outside="0" occluded="0" points="100.50,90.25"/>
<points label="left_eye" outside="0" occluded="1" points="12.34,56.78"/>
</skeleton>
<box label="person" group_id="4" xtl="10.5" ytl="20.25" xbr="110.5" ybr="100.25"/>
</image>
</annotations>"""
_TRACKS = """<annotations><meta><original_size><width>64</width><height>48</height></original_size>
</meta><track id="0" label="person"><skeleton frame="7" keyframe="1">
<points label="a" outside="0" occluded="0" points="3.5,4.5"/></skeleton></track></annotations>"""
_DEEPLABCUT = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
000001.png,10.5,20.5,30,40
000002.png,,,31,41
"""


def write_foreign(folder: Path) -> None:
    """Write all of it into a folder whose ``images`` are there, 160 x 120."""
    sources = folder / "foreign"
    sources.mkdir()
    (sources / "cvat.xml").write_text(_CVAT)
    (sources / "tracks.xml").write_text(_TRACKS)
    (sources / "deeplabcut.csv").write_text(_DEEPLABCUT)
    (sources / "labelstudio.json").write_text(json.dumps(_label_studio()))
    _write_yolo(folder / "yolo")
    boxes = folder / "box_files"
    boxes.mkdir()
    (boxes / "boxes.csv").write_text(
        "file_name,x,y,width,height,score\n000001.png,10,20,30,40,0.9\n000002.png,5,5,60,80,0.5\n"
    )
    (boxes / "corners.tsv").write_text("image_id\tx1\ty1\tx2\ty2\n1\t10\t20\t50\t90\n")
    (boxes / "000001.txt").write_text("0 0.5 0.5 0.4 0.6 0.9\n1 0.2 0.2 0.1 0.1 0.5\n")
    (boxes / "files.json").write_text(
        json.dumps({"000001.png": [[10, 20, 30, 40, 0.9]], "000002.png": [[5, 5, 60, 80]]})
    )
    found = np.zeros((1, 3, 6), np.float32)
    found[0, 0] = 8, 4, 40, 60, 0.9, 0
    write_constant(folder / "detector.onnx", {"found": found})
    write_card(folder / "detector.yaml", layout="end2end")


def _label_studio() -> list[dict[str, object]]:
    size = {"original_width": 160, "original_height": 120, "image_rotation": 0}
    box = {"x": 5, "y": 5, "width": 50, "height": 60, "rotation": 0, "rectanglelabels": ["person"]}
    point = {"x": 20.5, "y": 30.5, "width": 0.5, "keypointlabels": ["nose"]}
    regions = [
        {"id": "b", "type": "rectanglelabels", "value": box, **size},
        {"id": "p", "type": "keypointlabels", "value": point, "parentID": "b", **size},
    ]
    return [{"id": 1, "data": {"image": "000001.png"}, "annotations": [{"result": regions}]}]


def _write_yolo(folder: Path) -> None:
    for name in ("images/train", "labels/train"):
        (folder / name).mkdir(parents=True)
    image = (folder.parent / "images/000001.png").read_bytes()
    (folder / "images/train/a.png").write_bytes(image)
    (folder / "labels/train/a.txt").write_text("0 0.5 0.4 0.3 0.2 0.12 0.65 2 0.5 0.25 1\n")
    data = {"train": "images/train", "kpt_shape": [2, 3], "names": {0: "person"}}
    (folder / "data.yaml").write_text(yaml.safe_dump(data))
