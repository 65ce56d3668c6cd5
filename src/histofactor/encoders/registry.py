"""The encoders: one literal table. Each row names where its facts come from; they are checked on the built network."""

from __future__ import annotations

import difflib

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec, WeightsSource, WindowRule

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PAPER = "arXiv 2409.05697 and its reference package: layer, class token dropped, ReLU"

SPECS: tuple[EncoderSpec, ...] = (
    EncoderSpec(
        name="embedded",
        source=WeightsSource("embedded", "EmbeddedNetwork", filename="encoder.safetensors", revision="1"),
        patch_px=8,
        dim=128,
        prefix_tokens=0,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        mpp=1.0,
        window=WindowRule(1024, 192, 96, fixed=False),
        layer="code",
        transform="relu",
        licence="Apache-2.0",
        gated=False,
        facts="ships with the package: encoders/embedded/MODEL_CARD.md",
    ),
    EncoderSpec(
        name="resnet50",
        source=WeightsSource(
            "timm",
            "resnet50",
            repository="timm/resnet50.tv_in1k",
            filename="pytorch_model.bin",
            revision="78f3ecfdb38e06d9b8397f662e7ab8fee96026fa",
        ),
        patch_px=16,
        dim=1024,
        prefix_tokens=0,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        mpp=0.5,
        window=WindowRule(1024, 256, 128, fixed=False),
        layer="layer3",
        transform="relu",
        licence="BSD-3-Clause",
        gated=False,
        facts=f"torchvision IMAGENET1K_V1 weights; {_PAPER}",
    ),
    EncoderSpec(
        name="dinov2-small",
        source=WeightsSource(
            "timm",
            "vit_small_patch14_dinov2",
            {"img_size": 518, "dynamic_img_size": True},
            repository="timm/vit_small_patch14_dinov2.lvd142m",
            filename="model.safetensors",
            revision="4610ca143709d58a633b6397a74412c2c3842454",
        ),
        patch_px=14,
        dim=384,
        prefix_tokens=1,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        mpp=0.5,
        window=WindowRule(518, 252),
        layer="blocks[-1]",
        transform="relu",
        licence="Apache-2.0",
        gated=False,
        facts="timm model card; resolution-agnostic, worked at 0.5 µm/px",
    ),
    EncoderSpec(
        name="uni",
        source=WeightsSource(
            "timm",
            "vit_large_patch16_224",
            {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True},
            repository="MahmoodLab/UNI",
            filename="pytorch_model.bin",
            revision="b55a5ec6cade1a39edfe6534189a9b8ca7a022f0",
        ),
        patch_px=16,
        dim=1024,
        prefix_tokens=1,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        mpp=0.5,
        window=WindowRule(224, 112),
        layer="blocks[-1]",
        transform="relu",
        licence="CC-BY-NC-ND-4.0",
        gated=True,
        facts=f"UNI model card; {_PAPER}",
    ),
    EncoderSpec(
        name="prov-gigapath",
        source=WeightsSource(
            "timm",
            "vit_giant_patch14_dinov2",
            {
                "img_size": 224,
                "patch_size": 16,
                "embed_dim": 1536,
                "depth": 40,
                "num_heads": 24,
                "init_values": 1e-5,
                "mlp_ratio": 5.33334,
                "dynamic_img_size": True,
            },
            repository="prov-gigapath/prov-gigapath",
            filename="pytorch_model.bin",
            revision="eba85dd46097c3eedfcc2a3a9a930baecb6bcc19",
        ),
        patch_px=16,
        dim=1536,
        prefix_tokens=1,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        mpp=0.5,
        window=WindowRule(224, 112),
        layer="blocks[-1]",
        transform="relu",
        licence="Apache-2.0 with conditions",
        gated=True,
        facts=f"Prov-GigaPath model card (tile encoder); {_PAPER}",
    ),
)


def list_encoders() -> tuple[EncoderSpec, ...]:
    """All rows of the registry, in table order."""
    return SPECS


def get(name: str) -> EncoderSpec:
    """The row of an encoder.

    Raises:
        EncoderError: no encoder has this name; the message lists the nearest ones.
    """
    for spec in SPECS:
        if spec.name == name:
            return spec
    names = [spec.name for spec in SPECS]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
    raise EncoderError(
        f"unknown encoder {name!r}",
        expected=f"one of {', '.join(names)}",
        mend=f"did you mean {near[0]!r}?" if near else "`histofactor encoders list` shows them",
    )
