"""Vision-language pairs from a folder: networks and tokenizers of transformers, tensors from safetensors alone.

The folder holds ``config.json``, ``model.safetensors`` and a tokenizer: ``tokenizer.json``, or ``vocab.json`` with
``merges.txt`` (CLIP), or ``vocab.txt`` (BERT). ``model_type`` of the config is ``clip`` or ``keep``,
see ``pair_networks``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from histofactor.encoders.networks import import_transformers
from histofactor.encoders.pair import Pair
from histofactor.encoders.pair_networks import HIGHEST, KINDS, Norm, PairNetwork
from histofactor.encoders.published import as_plain
from histofactor.encoders.weights import as_float, load_state, misfit
from histofactor.encoders.weights_file import State, file_revision, read_weights, refuse
from histofactor.encoders.weights_place import commit_at
from histofactor.errors import EncoderError, OptionError
from histofactor.records import Float, WeightsSource

WEIGHTS = "model.safetensors"
_CONFIG, _IMAGES = "config.json", "preprocessor_config.json"
_BATCH = 64  # texts at a time
_BUFFERS = ".embeddings.position_ids"  # which older files hold too
_PARTS, _LAYERS = ("vision_config", "text_config"), ("num_hidden_layers", "num_layers")
_PANIC = "PanicException"  # of a library in Rust that gives up
_MOST_SCALE = 1000.0
_UNBUILT = (KeyError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError)


def read_pair(folder: Path, name: str, device: torch.device) -> Pair:
    """Read a pair from a folder, see the module.

    Args:
        folder: where its files are.
        name: what it is called.
        device: where it runs.

    Raises:
        EncoderError: a file is missing or damaged, or the folder holds another kind of model.
    """
    library = import_transformers(name)
    config = _json(folder / _CONFIG)
    kind = config.get("model_type")
    if kind not in KINDS:
        raise EncoderError(
            f"{folder} holds no vision-language model that can be loaded",
            expected=f"model_type {' or '.join(KINDS)} in {_CONFIG}",
            got=f"{kind!r:.80}",
            mend="save it as transformers' CLIPModel, or make a Pair of it in Python; see docs/concepts.md",
        )
    state = as_plain(_tensors(folder), WeightsSource("pair", kind))
    with _quiet():
        with torch.device("meta"):  # takes no memory, whatever the config says
            shapes = _built(library, kind, config, folder, len(state))
        if misfit(shapes, state):
            load_state(shapes, state, name)  # says what differs
        network = _built(library, kind, config, folder, len(state))
        tokenizer = _tokenizer(library, folder)
    _check_end(network, tokenizer, folder)
    load_state(network, as_float(state, network), name)
    network = network.eval().requires_grad_(False).to(device)
    mean, std = (torch.tensor(one, device=device).view(3, 1, 1) for one in _norm(folder, network.norm))

    def images(rgb: NDArray[np.uint8]) -> Float:
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(device).permute(0, 3, 1, 2).float() / 255
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cpu" and has_bfloat16()):
            return _units(network.of_images((pixels - mean) / std))

    def texts(given: Sequence[str]) -> Float:
        parts = [_tokens(tokenizer, given[at : at + _BATCH], network) for at in range(0, len(given), _BATCH)]
        found = [_units(network.of_texts({key: one.to(device) for key, one in part.items()})) for part in parts]
        return np.concatenate(found)

    return Pair(
        name=name,
        revision=commit_at(folder / WEIGHTS) or file_revision(folder / WEIGHTS),
        side_px=network.side_px,
        scale=_scale(network, name),
        images=torch.inference_mode()(images),
        texts=torch.inference_mode()(texts),
    )


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16, which takes half the time; an older torch does not tell."""
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _built(library: Any, kind: str, config: dict[str, Any], folder: Path, tensors: int) -> PairNetwork:
    """The network that a config describes, with random weights; it has fewer layers than its file has tensors."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        layers = [config[part].get(name, 0) for part in _PARTS for name in _LAYERS if part in config]
        if max(layers, default=0) > tensors:
            raise ValueError(f"{max(layers)} layers, where the file has {tensors} tensors")
        return KINDS[kind](library, config)
    except (*_UNBUILT, StrictDataclassError) as error:
        told = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise EncoderError(
            f"{folder / _CONFIG} describes no network", expected=f"that of a {kind} model", got=f"{told:.200}"
        ) from error


def _tensors(folder: Path) -> State:
    path = folder / WEIGHTS
    if not path.is_file():
        others = sorted(one.name for one in folder.iterdir() if one.suffix in {".bin", ".pt", ".pth", ".safetensors"})
        raise EncoderError(
            f"{folder} lacks {WEIGHTS}",
            expected="one safetensors file of all tensors",
            got=f"{', '.join(others[:4])}" if others else "no weights",
            mend="save the model with transformers' save_pretrained, which writes it",
        )
    with path.open("rb") as file:
        if file.read(9)[8:] != b"{":
            raise refuse(path, "a file that is no safetensors file", "download it again, or convert it")
    return {name: one for name, one in read_weights(path).items() if not name.endswith(_BUFFERS)}


def _tokenizer(library: Any, folder: Path) -> Any:
    """The tokenizer of a folder, by the files that there are; no class of its own is looked for."""
    kinds = {
        ("tokenizer.json",): library.PreTrainedTokenizerFast,
        ("vocab.json", "merges.txt"): library.CLIPTokenizer,
        ("vocab.txt",): library.BertTokenizer,
    }
    for files, kind in kinds.items():
        if all((folder / name).is_file() for name in files):
            with _refused(f"the tokenizer in {folder} cannot be read", " and ".join(files)):
                tokenizer = kind.from_pretrained(str(folder), local_files_only=True)
                if tokenizer.pad_token is None:
                    tokenizer.pad_token = tokenizer.eos_token
            return tokenizer
    expected = ", or ".join(" and ".join(files) for files in kinds)
    raise EncoderError(f"{folder} lacks a tokenizer", expected=expected, mend="save it with save_pretrained, too")


def _check_end(network: PairNetwork, tokenizer: Any, folder: Path) -> None:
    """Make sure that texts are read at their end: at any other place all would be alike, and nobody be told."""
    if network.end is None:
        return
    last = max(tokenizer.get_vocab().values()) if network.end == HIGHEST else network.end
    if tokenizer.eos_token_id != last:
        raise EncoderError(
            f"config and tokenizer in {folder} do not fit together",
            expected=f"texts that end with token {last}",
            got=f"{tokenizer.eos_token!r}, token {tokenizer.eos_token_id}",
            mend="take both from one model; eos_token_id of text_config is the number of the token that ends a text",
        )


def _tokens(tokenizer: Any, texts: Sequence[str], network: PairNetwork) -> dict[str, torch.Tensor]:
    """Texts as the network reads them, padded to the longest of them."""
    with _refused("the tokenizer cannot read the prompts", "what was saved with the network"):
        found = tokenizer(list(texts), padding=True, return_tensors="pt")
    if (word := int(found["input_ids"].max())) >= network.words:
        raise EncoderError(
            "the tokenizer is not that of the network",
            expected=f"{network.words} tokens",
            got=f"token {word}",
            mend="take both from one model",
        )
    _check_words(found["input_ids"], texts, tokenizer.unk_token_id, tokenizer.eos_token_id)
    longest = network.longest
    if (most := found["input_ids"].shape[1]) > longest:
        counts = found["attention_mask"].sum(1)
        raise OptionError(
            "a prompt is too long for the model",
            expected=f"{longest} tokens at most",
            got=f"{most}: {texts[int(counts.argmax())]:.80}",
            mend="write a shorter one",
        )
    return dict(found)


def _check_words(tokens: torch.Tensor, texts: Sequence[str], unknown: int | None, end: int | None) -> None:
    """Raise EncoderError where unknown words make two texts one."""
    read: dict[tuple[int, ...], str] = {}
    for row, text in zip(tokens.tolist(), texts, strict=True):
        other = read.setdefault(tuple(row), text)
        if other != text and unknown != end and unknown in row:
            raise EncoderError(
                "the tokenizer does not know the words of the prompts",
                expected="that of the model, in the language of the prompts",
                got=f"{other!r:.80} and {text!r:.80}, which are the same to it",
                mend="take model and tokenizer from one place, or write the prompts in words that it knows",
            )


def _norm(folder: Path, usual: Norm) -> Norm:
    """Mean and standard deviation of RGB in [0, 1] as the folder states them, else those that the kind was made for."""
    if not (folder / _IMAGES).is_file():
        return usual
    stated = _json(folder / _IMAGES)
    mean, std = stated.get("image_mean", usual[0]), stated.get("image_std", usual[1])
    if not all(_is_triple(one) for one in (mean, std)) or min(std) <= 0:
        expected = "image_mean and image_std of three numbers each"
        raise EncoderError(f"{folder / _IMAGES} makes no sense", expected=expected, got=f"{mean!r:.80}, {std!r:.80}")
    return tuple(mean), tuple(std)


def _is_triple(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(one, int | float) for one in value)


def _scale(network: PairNetwork, name: str) -> float:
    """The scale of cosines, whose logarithm is among the weights."""
    scale = float(network.logit_scale.exp())
    if not 0 < scale <= _MOST_SCALE:
        expected = f"a scale of cosines of {_MOST_SCALE:g} at most"
        raise EncoderError(f"the weights cannot be those of {name}", expected=expected, got=f"{scale:g}")
    return scale


def _units(embedded: torch.Tensor) -> Float:
    units: Float = torch.nn.functional.normalize(embedded.float(), dim=-1).cpu().numpy()
    return units


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        expected = "a JSON object, as transformers writes it"
        raise EncoderError(f"{path} cannot be read", expected=expected, got=f"{error!s:.200}") from error
    if not isinstance(content, dict):
        raise EncoderError(f"{path} is no JSON object", expected="what transformers writes", got=type(content).__name__)
    return content


@contextmanager
def _refused(what: str, expected: str) -> Iterator[None]:
    """Tell what the library of tokenizers has against a file; it raises no kinds of its own."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        told = f"{error}".replace("\n", " ")
        raise EncoderError(
            what, expected=expected, got=f"{told:.200}", mend="save it again, or fetch it again"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from saying what is checked here anyway."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity(40)  # errors only
    try:
        yield
    finally:
        logging.set_verbosity(level)
