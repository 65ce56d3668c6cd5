"""Where vision-language pairs come from: a model that is known by name, or a folder."""

from __future__ import annotations

from pathlib import Path

from histofactor.encoders.pair import Pair
from histofactor.encoders.registry import get
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

KNOWN = ("keep", "conch", "musk")
_FILES = ("config.json", "vocab.txt", "tokenizer_config.json", "model.safetensors")  # of KEEP, the weights last
_FOLDER = "a folder with config.json, model.safetensors and tokenizer files, as transformers' CLIPModel is saved"
_OWN_CODE = {
    "conch": "an attention pooler, a text tower and a tokenizer that are code of the package conch",
    "musk": "a text path and a tokenizer that are code of the package musk",
}


def load_pair(source: str, device: str = "auto") -> Pair:
    """Load a pair by its name, or from a folder; no code of others runs, and nothing is unpickled.

    Args:
        source: ``keep``, whose files are taken from the hub's cache or the hub, or a folder in the layout of
            transformers' ``CLIPModel`` or of KEEP.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        EncoderError: there is no such pair, or it cannot be loaded; the message says what is missing.
        OptionError: the device does not exist here.
    """
    from histofactor.encoders.build import choose_device
    from histofactor.encoders.pair_folder import WEIGHTS, read_pair

    there = choose_device(device)
    if source in KNOWN:
        return read_pair(_fetched(get(source)), source, there)
    folder = Path(source)
    if folder.name == WEIGHTS and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise EncoderError(
            f"there is no vision-language model {source}",
            expected=f"keep, or {_FOLDER}",
            got="a file" if folder.exists() else "no folder of that name",
        )
    return read_pair(folder, folder.resolve().name, there)


def _fetched(spec: EncoderSpec) -> Path:
    """The folder of a pair that is known by name."""
    from histofactor.encoders.hub import fetch_file

    if spec.name in _OWN_CODE:
        raise EncoderError(
            f"the text tower of {spec.name} cannot be loaded",
            expected=_FOLDER,
            got=f"{_OWN_CODE[spec.name]}, which is not run here",
            mend=f"take --with keep, or --with FOLDER of another model; from Python, make a Pair of what {spec.name}'s "
            f"package embeds, see docs/concepts.md",
        )
    source = spec.source
    by_hand = f"fetch the files of {source.repository} by hand ({', '.join(_FILES)}) and give --with FOLDER"
    files = [fetch_file(source.repository, name, source.revision, by_hand, spec) for name in _FILES]
    return files[-1].parent
