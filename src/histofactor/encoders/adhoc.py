"""Rows for networks that the table does not have: any of timm, any vision transformer of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from histofactor.encoders.networks import import_timm, import_transformers
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec, WeightsSource, WindowRule

_MPP = 0.5  # µm/px that general networks are worked at unless the user says otherwise
_CLASSES = {"vit": "ViTModel", "dinov2": "Dinov2Model", "dinov2_with_registers": "Dinov2WithRegistersModel"}


def row_of(library: str, name: str) -> EncoderSpec:
    """The row of ``timm:NAME`` or ``transformers:ID``, its facts read from the library or the repository.

    Raises:
        EncoderError: there is no such network, or it gives no grid of tokens.
    """
    return _from_timm(name) if library == "timm" else _from_transformers(name)


def _from_timm(name: str) -> EncoderSpec:
    timm = import_timm(f"timm:{name}")
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.', maxsplit=1)[0].split('_', maxsplit=1)[0]}*")[:3]
        raise EncoderError(
            f"timm has no network {name!r}", expected="a name of timm.list_models()", mend=", ".join(near)
        )
    configured: Any = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
    arguments: dict[str, Any] = {}
    with torch.device("meta"):
        network = timm.create_model(name, pretrained=False, num_classes=0)
    prefix = getattr(network, "num_prefix_tokens", None)
    stages = getattr(network, "feature_info", None)
    if not stages:
        raise EncoderError(f"timm's {name!r} gives no features on a grid", mend="choose another network")
    last = stages[-1]
    stride = int(last["reduction"])
    side = int(configured.input_size[-1])
    transformer = prefix is not None
    if transformer and hasattr(network, "pos_embed") and network.pos_embed is not None:
        arguments = {"dynamic_img_size": True}
    module = str(last["module"])
    base = f"{module.rsplit('.', 1)[0]}[{module.rsplit('.', 1)[1]}]" if "." in module else module
    side = side // stride * stride if transformer else max(side, 16 * stride)
    overlap = side // 2 // stride * stride
    return EncoderSpec(
        name=f"timm:{name}",
        source=WeightsSource("timm", name, arguments, str(configured.hf_hub_id or ""), "model.safetensors"),
        patch_px=stride,
        dim=int(last["num_chs"]),
        prefix_tokens=int(prefix or 0),
        mean=tuple(configured.mean),
        std=tuple(configured.std),
        mpp=_MPP,
        window=WindowRule(side, overlap, 0, fixed=transformer),
        layer="blocks[-1]" if transformer else base,
        transform="relu",
        licence=configured.license or "see its card",
        gated=False,
        facts="read from timm",
    )


def _from_transformers(name: str) -> EncoderSpec:
    import_transformers(name)
    folder = Path(name)
    path = folder / "config.json" if folder.is_dir() else _fetch_config(name)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind, dim, patch = config["model_type"], int(config["hidden_size"]), int(config["patch_size"])
        side = int(config["image_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderError(
            f"{name} describes no vision transformer",
            expected="config.json with hidden_size and patch_size",
            got=str(error),
        ) from error
    if kind not in _CLASSES:
        raise EncoderError(
            f"{name} is a network that needs a row of its own",
            expected=f"one of {', '.join(_CLASSES)}",
            got=kind,
            mend="write a plug-in; see docs/encoders.md",
        )
    registers = int(config.get("num_register_tokens", 0)) if kind == "dinov2_with_registers" else 0
    mean, std, said = _norm(folder)
    side = side // patch * patch
    return EncoderSpec(
        name=f"transformers:{name}",
        source=WeightsSource(
            "transformers", _CLASSES[kind], config, "" if folder.is_dir() else name, "model.safetensors"
        ),
        patch_px=patch,
        dim=dim,
        prefix_tokens=1 + registers,
        mean=mean,
        std=std,
        mpp=_MPP,
        window=WindowRule(side, side // 2 // patch * patch),
        layer="blocks[-1]",
        transform="relu",
        licence="see its card",
        gated=False,
        facts=f"read from config.json of {name}; {said}",
    )


def _fetch_config(name: str) -> Path:
    from histofactor.encoders.hub import fetch_file

    return fetch_file(name, "config.json", None)


def _norm(folder: Path) -> tuple[tuple[float, float, float], tuple[float, float, float], str]:
    """Mean and standard deviation as the repository states them, else ImageNet's; and which of both."""
    try:
        stated = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        mean, std = stated["image_mean"], stated["image_std"]
        return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2]), "normalisation as it states"
    except (OSError, ValueError, KeyError, IndexError):
        return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "normalisation of ImageNet, for it states none"
