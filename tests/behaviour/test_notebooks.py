"""The notebooks run from top to bottom, and import the public names alone."""

from __future__ import annotations

import ast
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
ALLOWED = {"pose_hrnet", "pose_hrnet.config.data"}
"""The public names, and `DataSet`, which `evaluate` takes."""


def code(notebook) -> str:
    """The notebook's Python, without the lines that are IPython's."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(line for line in "\n".join(cells).splitlines() if line[:1] not in ("%", "!"))


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["one_crop", "own_data", "predict"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_imports_the_public_names_alone(path):
    imported = set()
    for node in ast.walk(ast.parse(code(nbformat.read(path, as_version=4)))):
        if isinstance(node, ast.ImportFrom):
            imported.add(node.module)
            if node.module == "pose_hrnet.config.data":
                assert [alias.name for alias in node.names] == ["DataSet"]
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    assert {name for name in imported if name.split(".")[0] == "pose_hrnet"} <= ALLOWED


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_small_and_was_run(path):
    notebook = nbformat.read(path, as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert path.stat().st_size < 300_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=280, resources={"metadata": {"path": tmp_path}}
    ).execute()
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/jpeg" in output.get("data", {})
    ]
    assert pictures
