"""Weights of an encoder: from a local file, from the package, or from the hub at a pinned revision."""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

State = dict[str, torch.Tensor]

_HEADS = ("fc.", "head.", "classifier.")  # classifiers, which dense features never use
_TRAINING_ONLY = ("mask_token",)
# What the two readers raise on files that are not weights: torch's restricted unpickler walks into garbage.
_UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    struct.error,
)


def file_revision(path: Path) -> str:
    """The revision of a local weights file: ``sha256:`` and its digest.

    Raises:
        EncoderError: the file does not exist or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(
            f"cannot read the weights {path}", expected="a .safetensors, .bin, .pth or .pt file", got=str(error)
        ) from error


def read_weights(path: Path) -> State:
    """Tensors of a weights file, by name; nothing in it is executed.

    Args:
        path: a safetensors file, or a torch file of plain tensors (read with ``weights_only=True``).

    Raises:
        EncoderError: the file is not a set of tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle protocol of files that are refused anyway
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise EncoderError(
            f"cannot read the weights {path}",
            expected="a file of tensors: .safetensors, or a torch checkpoint without code",
            got=f"{type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}".strip(),
            mend="download it again, or convert it to safetensors",
        ) from error
    for wrapper in ("state_dict", "model", "teacher"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise EncoderError(f"cannot read the weights {path}", expected="a dictionary of tensors", got="something else")
    return state


def fetch_weights(spec: EncoderSpec) -> Path:
    """The weights file of an encoder from the hub's cache or the hub, at the pinned revision.

    Raises:
        EncoderError: the hub cannot be reached or does not let the user in; the message says what to do.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    source = spec.source
    by_hand = f"pass a local copy of {source.filename} with --weights FILE"
    try:
        return Path(hf_hub_download(source.repository, source.filename, revision=source.revision))
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise EncoderError(
            f"the hub does not hand out the weights of {spec.name}",
            expected=f"access to {source.repository}, whose licence is {spec.licence}",
            got="a gated repository without access" if spec.gated else str(error).splitlines()[0],
            mend=f"ask for access on huggingface.co/{source.repository} and run `hf auth login`, or {by_hand}",
        ) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise EncoderError(
            f"the weights of {spec.name} are not on this machine and the hub cannot be reached",
            expected=f"{source.repository} at revision {source.revision}",
            got=f"{type(error).__name__}",
            mend=f"connect once to download them, or {by_hand}; the encoder 'embedded' needs no download",
        ) from error


def load_state(network: torch.nn.Module, state: State, name: str) -> None:
    """Load tensors into a network; every parameter must be there with its shape.

    Raises:
        EncoderError: tensors are missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    given = {key: value for key, value in state.items() if key in wanted or not _dispensable(key)}
    missing = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in wanted]
    shapes = [
        f"{key} {tuple(given[key].shape)}" for key in given.keys() & wanted if given[key].shape != wanted[key].shape
    ]
    if missing or unknown or shapes:
        raise EncoderError(
            f"the weights do not fit {name}",
            expected=f"{len(wanted)} tensors such as {next(iter(wanted))}",
            got="; ".join(
                f"{len(keys)} {what}: {', '.join(sorted(keys)[:3])}"
                for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
                if keys
            ),
            mend="check that the file belongs to this encoder",
        )
    network.load_state_dict(given, strict=False)


def _dispensable(key: str) -> bool:
    return key.startswith(_HEADS) or key in _TRAINING_ONLY


def embedded_path(filename: str) -> Path:
    """A file that ships with the package, beside the embedded encoder."""
    return Path(__file__).parent / "embedded" / filename


def as_float(state: State) -> State:
    """Half-precision tensors widened to float32, others as they are."""
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
