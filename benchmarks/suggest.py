"""What does it cost to suggest names: seconds a concept, with a CLIP whose vision transformer is a ViT-B/16.

Weights are random, which costs the same as any. A slide of squares is written as a tiled TIFF, a bank tells of eight
places for each of its concepts, and ``suggest_names`` does all of it: it reads the patches, embeds them and the prompts
of a set, ranks the classes and writes the file. To a random network all squares are alike, so that the first four
settle every concept; ``patches`` is how many of each are looked at, 8 where it is made to look at all. ``bfloat16`` is
what a processor that has it does by itself, ``float32`` what any other does; ``cosine`` is the least between the
embeddings of a square in both. Loading the model is told by itself; core seconds are those of all cores, which change
less with what else the machine does, and least with one thread (``OMP_NUM_THREADS=1``): several wait for each other in
a loop. Prompts are cut into tokens by byte-pair encoding learned on the prompts, whose count is told; it is near that
of CLIP's own vocabulary.

    python benchmarks/suggest.py     writes results/suggest.csv
"""

from __future__ import annotations

import json
import tempfile
import time
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import tifffile
import torch
from common import median_seconds, report
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPConfig, CLIPModel

from histofactor.concepts.bank.file import BankFile, write_bank_file
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.prompts import Prompts, read_prompts
from histofactor.encoders import pair_folder
from histofactor.encoders.pair import Pair
from histofactor.encoders.pair_source import load_pair
from histofactor.records import EncoderKey
from histofactor.runs import suggest
from histofactor.runs.suggest import FIRST, PATCHES, suggest_names

K, SIDE, SET, SIZES = 16, 256, "general", (16,)
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


def timed(bank: Path, pair: Pair, prompts: Prompts) -> tuple[float, float, float]:
    """Seconds and core seconds of suggesting names, and patches of a concept that were looked at, in the mean."""
    start, used = time.perf_counter(), time.process_time()
    found = suggest_names(bank, None, pair, prompts, slides=[bank.parent / "slide.tif"])
    patches = float(np.mean([one.suggestion.patches for one in found.by_label.values()]))
    return time.perf_counter() - start, time.process_time() - used, patches


def main() -> None:
    prompts, rows = read_prompts(SET), []
    sentences = (*prompts.texts, *(text for texts in prompts.others for text in texts))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bank = write_bank(folder)
        squares = np.random.default_rng(1).integers(0, 256, (8, 224, 224, 3), np.uint8)
        for patch_px in SIZES:
            tokens = write_pair(folder / f"ViT-B-{patch_px}", patch_px, sentences)
            start = time.perf_counter()
            pair = load_pair(str(folder / f"ViT-B-{patch_px}"), "cpu")
            loading = time.perf_counter() - start
            pair.texts(prompts.texts[:1])  # threads are there
            texts = median_seconds(lambda pair=pair: pair.texts(sentences), 1)
            exact = None
            for precision, first in product(("float32", "bfloat16"), (PATCHES, FIRST)):
                if precision == "bfloat16" and not pair_folder.has_bfloat16():
                    continue
                with (
                    patch.object(suggest, "FIRST", first),
                    patch.object(pair_folder, "has_bfloat16", lambda precision=precision: precision == "bfloat16"),
                ):
                    embedded = pair.images(squares)
                    exact = embedded if exact is None else exact
                    whole, used, patches = timed(bank, pair, prompts)
                cosine = float((embedded * exact).sum(1).min())
                model = [f"CLIP ViT-B/{patch_px}", precision, K, patches, len(sentences), tokens]
                rows.append([*model, loading, texts, whole, whole / K, used / K, cosine])
    header = ["model", "precision", "K", "patches", "prompts", "tokens a prompt", "loading s", "prompts s", "all s"]
    report("suggest", [*header, "s a concept", "core s a concept", "cosine"], rows, ["torch", "transformers"])


if __name__ == "__main__":
    main()
