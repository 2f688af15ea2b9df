"""The rooms of the package, and what keeps them small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "pose_hrnet"
TESTS = ROOT / "tests"
ROOMS = {
    "system", "keypoints", "config", "visualize", "data", "models", "inference", "evaluation",
    "training", "deploy", "benchmark", "cli",
}  # fmt: skip
SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_the_package_is_twelve_rooms():
    here = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert here == ROOMS | {"__init__.py", "__init__.pyi", "__main__.py", "py.typed"}


def test_every_room_names_its_modules():
    """A line each in the docstring of its ``__init__.py``: ``name   what it is``."""
    for room in (path.parent for path in SOURCES if path.name == "__init__.py"):
        if room != PACKAGE:
            said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
            folders = {path.parent.name for path in room.glob("*/__init__.py")}
            modules = {path.stem for path in room.glob("*.py")} - {"__init__"}
            assert set(re.findall(r"^(\w+) {2,}\S", said, re.M)) == modules | folders, room


def test_files_stay_short():
    lines = {
        str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCES
        if path.name != "__init__.py"
    }
    assert {name: n for name, n in lines.items() if n > 400} == {}
    assert median(lines.values()) <= 190


def test_functions_take_at_most_eight_parameters():
    """Commands apart, whose parameters are the options that a person gives."""
    counts = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not path.is_relative_to(PACKAGE / "cli"):
                given = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                names = [arg.arg for arg in given if arg.arg not in ("self", "cls")]
                counts[f"{path.relative_to(PACKAGE)}: {node.name}"] = len(names)
    assert {name: n for name, n in counts.items() if n > 8} == {}


def test_every_folder_is_installed():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES}
    assert setup["options"]["packages"].split() == sorted(folders | {"pose_hrnet.configs"})


def test_the_command_line_alone_imports_neither_torch_nor_opencv():
    code = "import sys, pose_hrnet.cli.app; sys.exit(bool({'torch', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_place_opens_what_others_give():
    """`system.inputs`: a device never ends, and a FIFO waits for ever."""
    reads = re.compile(r"\.read_(text|bytes)\(|(?<!fsspec\.)\bopen\([^)]*\"rb?\"")
    own = (
        "system/inputs.py", "system/memory.py", "benchmark/machine.py",  # of the system
        "visualize/html.py", "deploy/server/app.py",  # of the package
    )  # fmt: skip
    found = [
        f"{name}: {line.strip()}"
        for path in SOURCES
        if (name := path.relative_to(PACKAGE).as_posix()) not in own
        for line in path.read_text(encoding="utf-8").splitlines()
        if reads.search(line)
    ]
    assert found == []


def test_no_test_imports_a_test():
    """What two of them need is in tests/helpers; tests/fuzz is programs, and their test."""
    found = [
        f"{path.relative_to(TESTS)}: {line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*(from|import) tests\.(?!helpers\b|fuzz\.(?!test_))", line)
    ]
    assert found == []


def test_private_names_of_the_package_are_used_with_a_reason():
    """A file of tests that uses one says why, in a comment that begins with ``Private:``."""
    private = re.compile(
        r"from pose_hrnet[\w.]* import .*\b_[a-z]|pose_hrnet[\w.]*\._[a-z]"  # imported, patched
        r"|setattr\([\w.]+, \"_[a-z]|(?<![\".\w])(?!self\b)[a-z]\w*\._(?!replace|asdict)[a-z]"
    )
    found = [
        str(path.relative_to(TESTS))
        for path in sorted(TESTS.rglob("*.py"))
        if path != Path(__file__)
        and private.search(text := path.read_text(encoding="utf-8"))
        and "# Private: " not in text
    ]
    assert found == []
