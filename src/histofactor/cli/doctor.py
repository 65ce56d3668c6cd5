"""``histofactor doctor``: is this machine ready."""

from __future__ import annotations

import platform
from importlib.metadata import version

import typer


def doctor() -> None:
    """Check the installation: versions, devices, and the embedded encoder on a small image."""
    import numpy as np
    import torch

    import histofactor
    from histofactor.base.text import counted
    from histofactor.segmentation.page import segment

    typer.echo(f"histofactor {histofactor.__version__}, Python {platform.python_version()}, {platform.platform()}")
    for name in ("numpy", "numba", "torch", "timm", "pillow", "tifffile", "shapely"):
        typer.echo(f"  {name} {version(name)}")
    devices = ["cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    typer.echo(f"  devices: {', '.join(devices)}")
    image = np.random.default_rng(0).integers(90, 220, (128, 128, 3), np.uint8)
    result = segment(image, source_mpp=1.0)
    labels = counted(len(np.unique(result.label_map.labels[:])), "label")
    typer.echo(f"  embedded encoder: works, {labels} on a test image")
