"""Runs the notebooks of docs/notebooks and writes them with their outputs.

    python -m tools.notebooks

A notebook is written as a script, `lab.py`, which people change; `lab.ipynb`
beside it is what came out when it ran, pictures included. It has a cell more,
`SETUP`, after the first.
"""

import argparse
import pathlib
import re
import tempfile

from tools import source_tree

FOLDER = source_tree.ROOT / "docs" / "notebooks"
SETUP = """\
# On Colab this installs what is missing; elsewhere it does nothing.
import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules and not importlib.util.find_spec("tfprune"):
    wanted = "tfprune[export,plots,data]"
    subprocess.run([sys.executable, "-m", "pip", "install", wanted], check=True)
"""
_SECONDS = 1800  # For one cell.
# What TensorFlow's C++ code says of the machine, with times.
_NOTES = re.compile(
    r"^(WARNING: All log messages|To enable the following|[IW]\d{4} ).*\n?",
    re.M,
)


def sources():
    """Paths of the scripts."""
    return sorted(FOLDER.glob("*.py"))


def executed(path, folder):
    """A notebook after all of its cells ran.

    Args:
        path: `pathlib.Path` of the script.
        folder: where it runs and leaves its files.

    Returns:
        A notebook of `nbformat`.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
    """
    import jupytext
    import nbclient
    from nbformat import v4

    notebook = jupytext.read(path)
    notebook.cells.insert(1, v4.new_code_cell(SETUP.strip()))
    client = nbclient.NotebookClient(
        notebook,
        timeout=_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    for cell in notebook.cells:
        # Times of execution, which differ each time.
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [*filter(None, map(_without_notes, cell.outputs))]
    return notebook


def _without_notes(output):
    """An output of a cell; `None` if nothing is left of it."""
    if output.get("name") != "stderr":
        return output
    output.text = _NOTES.sub("", output.text)
    return output if output.text else None


def main(arguments=None):
    import nbformat

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="lab, board; all by default")
    names = parser.parse_args(arguments).names
    for path in sources():
        if names and path.stem not in names:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(path, pathlib.Path(folder))
        nbformat.write(notebook, path.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
