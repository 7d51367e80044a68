"""Execute notebooks from the root of the repository: `python notebooks/execute.py notebooks/tour.ipynb [--save]`."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def execute(path: Path, save: bool) -> None:
    """Run all cells; the first that fails raises. `save`: write the outputs into the file."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    if save:
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)
        notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"]}
        nbformat.write(notebook, path)
    print(f"{path.name}: {len(notebook.cells)} cells ran")


if __name__ == "__main__":
    for name in [argument for argument in sys.argv[1:] if argument != "--save"]:
        execute(Path(name), "--save" in sys.argv)
