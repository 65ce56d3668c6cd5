"""The networks of vision-language pairs, with random weights: CLIP as transformers has it, and KEEP.

Each tells the ``side_px`` of its images, the most tokens of a text (``longest``), how many kinds of tokens there are
(``words``), the ``norm`` of RGB in [0, 1] that it was made for, and the token that a text is read at (``end``; None for
one that is always there).
"""

from __future__ import annotations

from typing import Any

import torch

Norm = tuple[tuple[float, ...], tuple[float, ...]]
HIGHEST = 2  # as ``end``: the token with the highest number, as older files say it
_CLIP_NORM = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_IMAGENET_NORM = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SIZES = {"hidden_size": "embed_dim", "num_layers": "depth", "num_heads": "num_heads"}  # that KEEP's config may tell


class PairNetwork(torch.nn.Module):
    """An encoder of images, an encoder of texts, and the logarithm of the scale of their cosines."""

    norm: Norm
    side_px: int
    longest: int
    words: int
    end: int | None = None
    logit_scale: torch.nn.Parameter

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, d) of normalised RGB (n, 3, side, side)."""
        raise NotImplementedError

    def of_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """Embeddings (n, d) of what a tokenizer makes of n texts."""
        raise NotImplementedError


class Clip(PairNetwork):
    """CLIP (Radford et al., ICML 2021) as transformers has it; tensors have the names of its own files."""

    norm = _CLIP_NORM

    def __init__(self, library: Any, config: dict[str, Any]) -> None:
        super().__init__()
        made = library.CLIPConfig.from_dict(config)
        network = library.CLIPModel(made)
        self.side_px, self.longest = int(made.vision_config.image_size), int(made.text_config.max_position_embeddings)
        self.end, self.words = int(made.text_config.eos_token_id), int(made.text_config.vocab_size)
        self.text_model: Any = network.text_model
        self.vision_model: Any = network.vision_model
        self.visual_projection, self.text_projection = network.visual_projection, network.text_projection
        self.logit_scale = network.logit_scale

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """As ``PairNetwork``."""
        embedded: torch.Tensor = self.visual_projection(self.vision_model(pixel_values=pixels).pooler_output)
        return embedded

    def of_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """As ``PairNetwork``."""
        embedded: torch.Tensor = self.text_projection(self.text_model(**tokens).pooler_output)
        return embedded


class Keep(PairNetwork):
    """KEEP (Zhou et al., 2024) as its model card puts it together.

    A ViT of timm, two linear layers behind its class token, and a BERT whose pooled output is the embedding of a text.
    """

    norm = _IMAGENET_NORM

    def __init__(self, library: Any, config: dict[str, Any]) -> None:
        import timm

        super().__init__()
        vision, dim = config["vision_config"], int(config["projection_dim"])
        self.visual: Any = timm.create_model(
            "vit_large_patch16_224",
            pretrained=False,
            num_classes=0,
            **{name: vision[name] for name in ("img_size", "patch_size", "init_values")},
            **{name: vision[stated] for stated, name in _SIZES.items() if stated in vision},
        )
        wide: Any = self.visual.num_features
        self.visual_head = torch.nn.Sequential(torch.nn.Linear(wide, dim), torch.nn.GELU(), torch.nn.Linear(dim, dim))
        described = library.BertConfig(**config["text_config"])
        self.text: Any = library.BertModel(described)
        self.logit_scale = torch.nn.Parameter(torch.zeros(()))
        self.side_px, self.longest = int(vision["img_size"]), int(described.max_position_embeddings)
        self.words = int(described.vocab_size)

    def of_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """As ``PairNetwork``."""
        embedded: torch.Tensor = self.visual_head(self.visual(pixels))
        return embedded

    def of_texts(self, tokens: dict[str, torch.Tensor]) -> torch.Tensor:
        """As ``PairNetwork``."""
        embedded: torch.Tensor = self.text(**tokens).pooler_output
        return embedded


KINDS: dict[str, type[Clip] | type[Keep]] = {"clip": Clip, "keep": Keep}
