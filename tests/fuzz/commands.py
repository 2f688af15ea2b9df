"""The command lines that read the files of `tests.fuzz.kit`."""

from __future__ import annotations


def commands(kind: str, name: str) -> list[list[str]]:
    """Command lines that read a file of the kit."""
    evaluate = ["evaluate", "--checkpoint=model.safetensors", "--annotations=people.json",
                "--images=images", "--output=out", "--workers=0"]  # fmt: skip
    predict = ["predict", "images", "--output=out", "--backend=eager"]
    ours = [*predict, "--checkpoint=model.safetensors"]
    bulk = ["bulk", "images", *ours[2:], "--dry-run=3"]
    score = ["score", "results.json", "--annotations=people.json"]
    compare = ["compare", "results.json", "before.json", "--annotations=people.json",
               "--replicates=20"]  # fmt: skip
    report = ["report", "results.json", "--annotations=people.json", "--images=images",
              "--output=out.html"]  # fmt: skip
    validate = ["data", "validate", "--annotations=people.json", "--workers=1"]
    train = ["train", "recipe.yaml", "--output=out"]
    calibrate = ["weights", "calibrate", "other.yaml", "--annotations=dots.json", "--images=dots",
                 "--output=calibrated.yaml", "--workers=0"]  # fmt: skip
    if name == "dots.json":
        return [calibrate]
    if kind == "annotations":
        return [
            score, validate, [*validate, "--images=images", "--boxes=boxes.json"], report,
            evaluate, [*evaluate, "--boxes=boxes.json"], [*train, "--dry-run"],
            [*ours, "--annotations=people.json", "--boxes=boxes.json"], train,
            ["data", "shard", "--annotations=people.json", "--images=images", "--output=out",
             "--size=64x32", "--workers=1"],
            ["weights", "convert", "model.pth", "--output=x.safetensors",
             "--annotations=people.json", "--input-size=64x32"],
            ["data", "preview", "recipe.yaml", "--output=out.png"],
            compare, [*compare, "--cluster=id"], [*compare, "--cluster=area"],
        ]  # fmt: skip
    if kind in ("mpii", "crowdpose"):
        return _scored_otherwise(kind, name)
    if kind == "recordings":
        if name.startswith("videos"):
            video = ["predict", name, *ours[2:]]
            return [[*video, "--whole-image", "--no-overlays"], [*video, "--whole-image"],
                    [*video, "--detector=detector.yaml", "--no-overlays", "--detect-every=3"],
                    [*video, "--whole-image", "--start=0.4", "--end=1.2", "--every=2"],
                    ["bulk", name, *bulk[2:], "--whole-image", "--every=2"],
                    ]  # fmt: skip
        return [[*ours, "--whole-image", "--rate=5", "--no-overlays"]]
    if kind == "runs":
        return [["runs", "runs", "--html=out.html"], ["runs", "runs", "--no-intervals"],
                ["runs", "runs/a", "runs/b"]]  # fmt: skip
    if kind == "states":
        again = ["train", "recipe.yaml", "--output=trained", "--resume"]
        return [again, [*again, "--set=train.epochs=2"], [*again, "--dry-run"]]
    if kind == "detections":
        return [
            [*ours, "--boxes=boxes.json", "--annotations=people.json", "--no-overlays"],
            [*ours, "--boxes=boxes.json", "--nms=oks"],
            [*evaluate, "--boxes=boxes.json"], [*validate, "--boxes=boxes.json"],
            [*validate, "--boxes=boxes.json", "--images=images"],
        ]  # fmt: skip
    if kind == "foreign":
        source = "yolo" if name.startswith("yolo") else name
        convert = ["data", "convert", source, "--output=out"]
        if name == "foreign/tracks.xml":  # of a video, whose frames are not there
            return [convert]
        if name == "lsp/joints.mat":  # whose images do not say their size
            return [convert]
        return [convert, [*convert, "--to=yolo", "--images=images"], [*convert, "--images=images"]]
    if kind == "box files":
        boxes = "--boxes=box_files" if name.endswith(".txt") else f"--boxes={name}"
        return [[*ours, boxes], [*ours, boxes, "--annotations=people.json", "--box-format=xyxy"],
                [*evaluate, boxes, "--backend=eager"], [*validate, boxes],
                [*bulk, boxes]]  # fmt: skip
    if kind == "detectors":
        return [["detect", "images", "--detector=detector.yaml", "--output=out.json"],
                [*ours, "--detector=detector.yaml", "--no-overlays"]]  # fmt: skip
    if kind == "results":
        return [score, [*score, "--evaluator=pycocotools"], [*score, "--skeleton=coco17"],
                compare, report, [*report, "--against=before.json"],
                ["track", "results.json", "--fps=25", "--output=out.json"],
                ["track", "results.json", "--fps=25", "--smooth=savgol"],
                ["track", "results.json", "--fps=25", "--smooth=one_euro"]]  # fmt: skip
    if kind == "images":
        formats = "--format=yolo,openpose,labelstudio,mmpose,coco-annotations"
        pictures = ["predict", "pictures", *ours[2:]]
        one, many = ["predict", name, *ours[2:]], ["bulk", "pictures", *bulk[2:]]
        return [[*each, "--whole-image"] for each in (pictures, [*pictures, formats], one, many)]
    if kind in ("checkpoints", "cards", "exports"):
        if name.endswith((".onnx", ".onnx.json", ".yaml")):
            model = "other.yaml" if name.startswith("other") else "exported.onnx"
            plain = [f"--checkpoint={model}", "--no-overlays"]
            found = [["predict", "images/000001.png", "--output=out", "--whole-image", *plain],
                     [evaluate[0], plain[0], *evaluate[2:]]]  # fmt: skip
            return [*found, calibrate] if name.startswith("other") else found
        return [
            ["weights", "inspect", name],
            ["weights", "convert", name, "--output=x.safetensors", "--input-size=64x32"],
            [*predict, f"--checkpoint={name}", "--whole-image"],
            [*train, "--dry-run", f"--set=model.pretrained={name}"],
        ]
    sharded = [*train, "--set=data.train={shards: shards}"]
    if kind in ("shards", "indexes"):
        archives = ["bulk", "shards", *bulk[2:], "--whole-image"]
        return [sharded, [*sharded, "--dry-run"], *([archives] if kind == "shards" else [])]
    if name == "skeleton.yaml":
        return [[*score, "--skeleton=skeleton.yaml"], [*validate, "--skeleton=skeleton.yaml"]]
    return [[*train, "--dry-run"], train, ["recipes", "recipe.yaml"],
            ["data", "preview", "recipe.yaml", "--output=out.png"]]  # fmt: skip


def _scored_otherwise(kind: str, name: str) -> list[list[str]]:
    """Of annotations that are scored by another metric than COCO's."""
    annotations = f"--annotations={kind}.json"
    evaluate = ["evaluate", f"--checkpoint={kind}.safetensors", annotations, "--images=images",
                "--output=out", "--workers=0"]  # fmt: skip
    if name == "gt_valid.mat":
        return [[*evaluate, "--head-sizes=gt_valid.mat"]]
    found = [evaluate,
             ["data", "validate", annotations, "--workers=1"],
             ["data", "validate", annotations, "--images=images", "--workers=1"],
             ["data", "shard", annotations, "--images=images", "--output=out", "--size=64x32",
              "--workers=1"]]  # fmt: skip
    if kind == "mpii":
        return found
    return [*found, ["score", "crowdpose_results.json", annotations],
            ["report", "crowdpose_results.json", annotations, "--output=out.html"]]  # fmt: skip


def others() -> list[list[str]]:
    """Command lines that read no file of the kit but a model, for changes to their arguments."""
    return [
        ["weights", "list", "udp"], ["weights", "path", "coco_w32_256x192_udp"],
        ["weights", "download", "coco_w32_256x192_udp", "--offline"],
        ["data", "synthesize", "--output=out", "--images=2", "--seed=3", "--workers=1"],
        ["benchmark", "codec", "--quick", "--rounds=1", "--json=out.json"],
        ["benchmark", "evaluation", "--quick", "--poses=100", "--rounds=1"],
        ["predict", "images/*.png", "--output=out", "--whole-image", "--checkpoint=model.pth"],
        ["predict", "http://127.0.0.1:9/a.jpg", "--output=out", "--whole-image",
         "--checkpoint=model.safetensors"],
        ["evaluate", "--checkpoint=model.safetensors", "--annotations=people.json",
         "--images=images", "--output=out", "--detector=detector.yaml", "--intervals"],
    ]  # fmt: skip
