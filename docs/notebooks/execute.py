"""Run the notebooks in a temporary folder and store what they print and draw.

``python docs/notebooks/execute.py [--check] [NAME ...]``: with ``--check`` nothing is
stored; an error in a cell ends with exit code 1 either way.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent


def main() -> int:
    """Return 0 if all cells of the notebooks that are named, or of all, run."""
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    names = arguments or sorted(p.stem for p in HERE.glob("*.ipynb"))
    failed = [name for name in names if not run(name, "--check" in sys.argv)]
    return 1 if failed else 0


def run(name: str, check: bool) -> bool:
    """Run one notebook; store its outputs unless it is only checked."""
    path = HERE / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        try:
            NotebookClient(
                notebook, timeout=300, resources=resources, kernel_name="python3"
            ).execute()
        except CellExecutionError as error:
            print(f"{path.name}: {error}")
            return False
    if not check:
        clean(notebook)
        nbformat.write(notebook, path)
    print(f"{path.name}: {len(notebook.cells)} cells ran")
    return True


def clean(notebook: nbformat.NotebookNode) -> None:
    """Leave out what differs between two runs: log lines, the kernel's version."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.metadata = {}
        cell.id = f"cell-{number}"
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr"
            ]


if __name__ == "__main__":
    raise SystemExit(main())
