"""Execute the tutorials: into a folder, or in their place, so that what the pages show is what they give."""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent
TIMEOUT_S = 600  # of a cell


def execute(path: Path, work: Path) -> Any:
    """The notebook with what its cells give, executed in a folder of its own; raises where a cell does."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:  # of files, for others hear what goes over TCP
        kernel = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel")
        client = NotebookClient(notebook, kernel, timeout=TIMEOUT_S, resources={"metadata": {"path": str(work)}})
        client.execute(cleanup_kc=True)  # whoever brings a kernel is left with it otherwise
    return notebook


def light(notebook: Any) -> Any:
    """The same without what tells of the moment (times, progress, stderr), figures as JPEG, a quarter of their PNG."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [_smaller(one) for one in cell.outputs if not _passing(one)]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _smaller(output: Any) -> Any:
    if png := output.get("data", {}).pop("image/png", None):
        stream = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").save(stream, "JPEG", quality=80, optimize=True)
        output["data"]["image/jpeg"] = base64.b64encode(stream.getvalue()).decode()
    return output


def _passing(output: Any) -> bool:
    return output.get("name") == "stderr" or "<progress" in output.get("data", {}).get("text/html", "")


def main() -> None:
    """Execute all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to; default: in their place")
    given = parser.parse_args()
    for path in [FOLDER / name for name in given.names] or sorted(FOLDER.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as work:
            nbformat.write(light(execute(path, Path(work))), given.out / path.name)
        sys.stdout.write(f"{path.name}: {(given.out / path.name).stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
