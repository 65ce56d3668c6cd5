"""The tokens of an encoder beside those of its own published code, where that is installed, else of its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from histofactor.encoders.layers import dense_at
from histofactor.records import EncoderSpec

_SAME = 1e-3  # of the norm of a token; float32 on one device differs by less than a hundredth of that


@dataclass(frozen=True, slots=True)
class Compared:
    """How far tokens are from those of another forward.

    Attributes:
        who: whose forward it is.
        difference: the largest distance of a token from the other's, over its norm.
        package: the package of the model's authors that would be asked and is not installed, or "".
    """

    who: str
    difference: float
    package: str = ""

    @property
    def same(self) -> bool:
        """Whether both are the same, but for rounding."""
        return self.difference <= _SAME


@torch.inference_mode()
def compare(spec: EncoderSpec, network: torch.nn.Module, path: Path | None, pixels: torch.Tensor) -> Compared | None:
    """Compare the tokens after the final norm with those of the model's own forward.

    Args:
        spec: the row.
        network: with its weights.
        path: their file, which the authors' package reads itself; None leaves the package out.
        pixels: (1, 3, height, width), normalised, of the size that the network was published for.

    Returns:
        The comparison, or None for a network that has no forward of tokens but ours.
    """
    package, own = _OWN.get(spec.name, ("", None))
    installed = bool(package) and find_spec(package) is not None
    if installed and own is not None and path is not None:
        who, theirs = package, own(path, pixels)
    elif spec.source.library in {"timm", "transformers"} and not spec.source.remote_code:
        who, theirs = spec.source.library, _of_library(spec, network, pixels)
    else:
        return None
    ours = dense_at(spec, network, "blocks[-1]+norm")[0](pixels)
    return Compared(who, _difference(ours, theirs, spec), "" if installed else package)


def _difference(ours: torch.Tensor, theirs: torch.Tensor, spec: EncoderSpec) -> float:
    """Of a map (1, d, h, w) and tokens (1, prefix + h w, d)."""
    grid = theirs[:, spec.prefix_tokens :].transpose(1, 2).reshape(ours.shape)
    return float(((ours - grid).norm(dim=1) / ours.norm(dim=1).clamp(min=1e-12)).max())


def _of_library(spec: EncoderSpec, network: Any, pixels: torch.Tensor) -> torch.Tensor:
    if spec.source.library == "timm":
        return network.forward_features(pixels)  # type: ignore[no-any-return]
    options = {"interpolate_pos_encoding": True} if spec.source.architecture == "ViTModel" else {}
    return network(pixels, **options).last_hidden_state  # type: ignore[no-any-return]


def _conch(path: Path, pixels: torch.Tensor) -> torch.Tensor:
    """As the model card of CONCH loads it."""
    from conch.open_clip_custom import create_model_from_pretrained

    model, _ = create_model_from_pretrained("conch_ViT-B-16", checkpoint_path=str(path))
    tokens: torch.Tensor = model.visual.trunk.eval().to(pixels.device).forward_features(pixels)
    return tokens


def _gigapath_flash(path: Path, pixels: torch.Tensor) -> torch.Tensor:
    """As the model card of GigaPath-Flash loads it."""
    from gigapath.tile_encoder import create_model

    tokens: torch.Tensor = create_model(str(path)).eval().to(pixels.device).forward_features(pixels)
    return tokens


def _musk(path: Path, pixels: torch.Tensor) -> torch.Tensor:
    """As the model card of MUSK loads it; all tokens, of the image alone and at one size."""
    from musk import modeling, utils  # noqa: F401 - timm knows the network once it is imported
    from timm.models import create_model

    model: Any = create_model("musk_large_patch16_384")
    utils.load_model_and_may_interpolate(str(path), model, "model|module", "")
    options = {"with_head": False, "out_norm": False, "ms_aug": False, "return_global": False}
    tokens: torch.Tensor = model.eval().to(pixels.device)(image=pixels, **options)[0]
    return tokens


_OWN: dict[str, tuple[str, Callable[[Path, torch.Tensor], torch.Tensor]]] = {
    "conch": ("conch", _conch),
    "gigapath-flash": ("gigapath", _gigapath_flash),
    "musk": ("musk", _musk),
}
