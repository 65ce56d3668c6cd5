"""Vision-language pairs for tests: an exact one, to which tissue is colour, and small random ones in folders."""

import json
import re

import numpy as np
import torch
from safetensors.torch import save_file

from histofactor.concepts.bank.suggested import Suggested
from histofactor.concepts.prompts import OTHERS
from histofactor.concepts.suggest import Candidate, Suggestion
from histofactor.encoders.pair import Pair

SIDE_PX = 32
TISSUES = {
    "tumour": (120, 40, 160),
    "stroma": (240, 150, 190),
    "fat": (250, 250, 250),
    "necrosis": (150, 60, 60),
    "muscle": (200, 60, 120),
    "mucus": (170, 200, 230),
}
_TOLD = ["<|startoftext|>", "<|endoftext|>", "[UNK]", "an", "image", "of", *TISSUES]
WORDS = [*dict.fromkeys([*_TOLD, *" ".join(OTHERS).split()])]


def exact_pair(scale=20.0):
    """A pair that is right: an image is the share of its px nearest to each colour, a text the tissues it names."""
    palette = np.array([*TISSUES.values()], float)

    def images(rgb):
        nearest = ((rgb[..., None, :].astype(float) - palette) ** 2).sum(-1).argmin(-1)
        return units(np.stack([[(one == index).mean() for index in range(len(palette))] for one in nearest]))

    def texts(given):
        return units(np.array([[float(name in re.findall(r"\w+", text)) for name in TISSUES] for text in given]))

    return Pair(name="exact", revision="1", side_px=SIDE_PX, scale=scale, images=images, texts=texts)


def units(rows):
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def suggested(name, unsure="", others=("stroma", "fat")):
    """A suggestion that nobody made."""
    best = [Candidate(name, 0.5, 0.6), *(Candidate(one, 0.4, 0.2) for one in others)]
    return Suggested(Suggestion(tuple(best), 0.4, 8, 8, unsure), "exact (1)", "general (0123)")


def clip_folder(folder, seed=0):
    """A random CLIP of one layer each in the layout of transformers' ``CLIPModel``, whose words are ``WORDS``."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel
    from transformers.utils import logging

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(WORDS), "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1}
    config = CLIPConfig(
        vision_config={**sizes, "image_size": SIDE_PX, "patch_size": 16},
        text_config={**text, "pad_token_id": 1},
        projection_dim=24,
    )
    torch.manual_seed(seed)
    logging.set_verbosity(40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(
        {name: one.contiguous() for name, one in CLIPModel(config).state_dict().items()}, folder / "model.safetensors"
    )
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    start, end = WORDS[:2]
    words.post_processor = processors.TemplateProcessing(f"{start} $A {end}", special_tokens=[(start, 0), (end, 1)])
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": end, "bos_token": start, "unk_token": "[UNK]"})
    )
    return folder


def keep_folder(folder, seed=0):
    """The same in the layout of KEEP, with its names of tensors."""
    from histofactor.encoders.networks import import_transformers
    from histofactor.encoders.pair_networks import Keep

    text = {"vocab_size": 8, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {"img_size": SIDE_PX, "patch_size": 16, "init_values": 0.1, "num_classes": 0}
    config = {
        "model_type": "keep",
        "vision_config": {**vision, "hidden_size": 32, "num_layers": 1, "num_heads": 2},
        "text_config": {**text, "intermediate_size": 48, "max_position_embeddings": 32},
        "projection_dim": 24,
    }
    torch.manual_seed(seed)
    network = Keep(import_transformers("keep"), config)
    state = {re.sub(r"(\.ls[12]\.)gamma$", r"\1weight", name): one for name, one in network.state_dict().items()}
    state["logit_scale"] = torch.tensor(float(np.log(25.0)))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: one.contiguous() for name, one in state.items()}, folder / "model.safetensors")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ntumour\nfat\nof\n")
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return folder
