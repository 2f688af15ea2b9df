"""Where the test of each module is.

Of ``pose_hrnet/<room>/<module>.py`` it is ``tests/<room>/test_<module>.py``. A folder inside a
room may have one for all of its modules, ``tests/<room>/test_<folder>.py``. The others are named
below, beside the test that covers them.
"""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "pose_hrnet"

COVERED_BY = {
    "behaviour/test_cli": (
        "cli/app cli/data cli/export cli/predict cli/recipes cli/tables cli/train"
    ),
    "behaviour/test_demo": "cli/demo",
    "benchmark/test_suite": (
        "benchmark/codec benchmark/evaluation benchmark/loading benchmark/machine "
        "benchmark/made_up benchmark/model benchmark/pipeline benchmark/prediction "
        "benchmark/report benchmark/timing benchmark/video cli/benchmark"
    ),
    "cli/test_options": "cli/parsing system/choices system/defaults",
    "cli/test_weights": "models/weights/inspect",
    "config/test_files": (
        "config/base config/codec config/data config/recipe config/skeleton config/training"
    ),
    "data/test_coco": "data/formats/broken_json data/formats/persons data/formats/rows",
    "data/test_images": "data/image_facts",
    "data/test_jpeg": "data/pictures",
    "data/test_mpii": "evaluation/metrics/pckh",
    "data/test_results": "data/formats/detections",
    "data/test_validate": "data/validation/checks",
    "deploy/test_export": "deploy/check",
    "evaluation/test_evaluate": "evaluation/metrics/scores",
    "inference/test_choose": "inference/backends/convert inference/backends/networks",
    "inference/test_estimator": "inference/pending inference/pictures",
    "inference/test_model": "inference/load",
    "models/test_load": "models/card models/weights/read",
    "system/test_download": "system/transfer",
    "training/test_runs": "cli/runs training/runs_page",
    "training/test_train": "training/data training/report",
}


def modules() -> list[str]:
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return sorted(path.as_posix() for path in paths if not path.name.startswith("__"))


def own_tests(module: str) -> list[str]:
    """Where the test of a module may be, without the table."""
    room, *folders, name = module.split("/")
    return [f"{room}/test_{each}" for each in (name, *folders)]


def exists(test: str) -> bool:
    return (TESTS / f"{test}.py").is_file()


def test_every_module_has_a_test_of_its_name_or_stands_in_the_table():
    covered = " ".join(COVERED_BY.values()).split()
    without = [m for m in modules() if m not in covered and not any(map(exists, own_tests(m)))]
    assert without == []


def test_the_table_holds_nothing_that_is_not_so():
    covered = " ".join(COVERED_BY.values()).split()
    assert [test for test in COVERED_BY if not exists(test)] == []
    assert sorted(set(covered) - set(modules())) == []
    assert [m for m in covered if any(map(exists, own_tests(m)))] == []
    assert len(covered) == len(set(covered))
