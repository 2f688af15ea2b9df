"""Data flows one way: no module imports a later one, and none is missing from the order."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "pose_hrnet"

ORDER = [
    "words", "skeleton", "geometry", "records", "progress", "overlap", "files", "interrupts",
    "device", "torchrun", "distributed", "processes",
    "config_base", "config_data", "config_training", "config", "config_files",
    "data.images", "data.json_rows", "data.annotations", "data.skeletons", "data.coco",
    "data.mpii", "data.datasets",
    "data.checks", "data.validate",
    "data.decode", "data.sampling", "data.augment", "data.appearance", "data.crops", "data.shards",
    "data.shard_writer",
    "data.figures", "data.canvas", "data.clothing", "data.heads", "data.painting",
    "data.backdrops", "data.scenes",
    "data.synthetic",
    "subcell", "codec",
    "models.inputs", "models.hrnet_blocks", "models.hrnet", "models.multi_resolution",
    "models.resnet", "models.build",
    "models.complexity", "models.layouts", "models.checkpoint_files",
    "models.mmpose_meta", "models.card", "models.foreign", "models.opened",
    "models.fitting", "models.head", "models.weights", "models.inspection",
    "losses", "inference",
    "cards", "program_files", "backends", "conversion", "fast_networks", "acceleration",
    "runtimes",
    "metrics.oks", "metrics.coco_truth", "metrics.coco_results", "metrics.coco_matching",
    "metrics.coco_ap",
    "metrics.crowdpose", "metrics.pck", "metrics.mpii", "metrics.main_number", "scoring",
    "draw", "evaluate", "compare", "data_parallel", "checkpointing", "run_folder", "loggers",
    "training_data", "training_model", "ema", "prefetch", "training_step", "memory",
    "run_summary", "run_report", "showcase", "epoch", "training_run", "train",
    "trial_run", "dry_run", "preview",
    "predict", "predict_files", "demo", "export_check", "export", "quantise", "int8",
    "machine", "benchmarks.timing", "benchmarks.limits", "benchmarks.model",
    "benchmarks.loading", "benchmarks.codec", "benchmarks.made_up", "benchmarks.evaluation",
    "benchmarks.suite", "benchmarks.report",
    "console", "commands.options", "commands.tables", "commands.data", "commands.recipes",
    "commands.weights", "commands.export", "commands.evaluate", "commands.benchmark", "cli",
]  # fmt: skip


def modules():
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.endswith("__"):
            yield name, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pose_hrnet"):
            module = node.module.removeprefix("pose_hrnet").removeprefix(".")
            yield module
            yield from (f"{module}.{alias.name}".removeprefix(".") for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("pose_hrnet.")
                for alias in node.names
                if alias.name.startswith("pose_hrnet.")
            )


def test_every_module_has_its_place():
    assert sorted(name for name, _ in modules()) == sorted(ORDER)


def test_no_module_imports_a_later_one():
    place = {name: i for i, name in enumerate(ORDER)}
    backward = [
        f"{name} imports {other}"
        for name, tree in modules()
        for other in imported(tree)
        if other in place and place[other] >= place[name]
    ]
    assert backward == []


def test_files_stay_short():
    long = {
        p.name: n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 400
    }
    assert long == {}


def test_the_command_line_alone_imports_neither_torch_nor_opencv():
    code = "import sys, pose_hrnet.cli; sys.exit(bool({'torch', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
