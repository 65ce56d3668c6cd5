"""What does it cost to suggest names: seconds a concept, with a CLIP of two ViT-B sizes on the cores that there are.

Weights are random, which costs the same as any. A slide of squares is written as a tiled TIFF, a bank tells of eight
places for each of its concepts, and ``suggest_names`` does all of it: it reads the patches, embeds them and the prompts
of a set, ranks the classes and writes the file. Loading the model is told by itself; core seconds are those of all
cores. Prompts are cut into tokens by byte-pair encoding learned on the prompts, whose count is told; it is near that of
CLIP's own vocabulary.

    python benchmarks/suggest.py     writes results/suggest.csv
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
import torch
from common import median_seconds, report
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPConfig, CLIPModel

from histofactor.concepts.bank.file import BankFile, write_bank_file
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.prompts import read_prompts
from histofactor.encoders.pair_source import load_pair
from histofactor.records import EncoderKey
from histofactor.runs.suggest import PATCHES, suggest_names

K, SIDE, REPEATS, SET = 16, 256, 3, "general"
START, END = "<|startoftext|>", "<|endoftext|>"


def write_pair(folder: Path, patch_px: int, texts: tuple[str, ...]) -> float:
    """Write a random CLIP of the published sizes; returns the mean number of tokens of a text."""
    words = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=220, special_tokens=[START, END], end_of_word_suffix="</w>")
    words.train_from_iterator(texts, trainer)
    words.post_processor = processors.TemplateProcessing(f"{START} $A {END}", special_tokens=[(START, 0), (END, 1)])
    torch.manual_seed(0)
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = CLIPConfig(vision_config={"patch_size": patch_px}, text_config=ends)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(CLIPModel(config).state_dict(), folder / "model.safetensors")
    words.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": END, "bos_token": START}))
    return float(np.mean([len(one.ids) for one in words.encode_batch(list(texts))]))


def write_bank(folder: Path) -> Path:
    """Write a slide with a row of squares for each concept, and the bank that tells of them."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE * K, SIDE * PATCHES, 3), np.uint8)
    tifffile.imwrite(folder / "slide.tif", image, tile=(256, 256), photometric="rgb")
    examples = [
        [{"slide": 0, "x": SIDE * at, "y": SIDE * row, "side": SIDE} for at in range(PATCHES)] for row in range(K)
    ]
    bank = new_bank(np.eye(K, dtype=np.float32), EncoderKey("e", None, "l", "relu"), provenance={"examples": examples})
    write_bank_file(BankFile({K: bank}, {"slides": [{"name": "slide.tif"}]}), folder / "bank.safetensors")
    return folder / "bank.safetensors"


def main() -> None:
    prompts, rows = read_prompts(SET), []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bank = write_bank(folder)
        for patch_px in (32, 16):
            tokens = write_pair(folder / f"ViT-B-{patch_px}", patch_px, prompts.texts)
            start = time.perf_counter()
            pair = load_pair(str(folder / f"ViT-B-{patch_px}"), "cpu")
            loading = time.perf_counter() - start
            pair.texts(prompts.texts[:1])  # threads are there
            used = time.process_time()
            whole = median_seconds(
                lambda pair=pair: suggest_names(bank, None, pair, prompts, slides=[folder / "slide.tif"]), REPEATS
            )
            used = (time.process_time() - used) / REPEATS
            texts = median_seconds(lambda pair=pair: pair.texts(prompts.texts), REPEATS)
            row = [
                f"CLIP ViT-B/{patch_px}",
                K,
                PATCHES,
                len(prompts.texts),
                tokens,
                loading,
                texts,
                whole,
                whole / K,
                used / K,
            ]
            rows.append(row)
    header = [
        "model",
        "K",
        "patches",
        "prompts",
        "tokens a prompt",
        "loading s",
        "prompts s",
        "all s",
        "s a concept",
        "core s a concept",
    ]
    report("suggest", header, rows, ["torch", "transformers"])


if __name__ == "__main__":
    main()
