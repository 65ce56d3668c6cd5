"""Weights of an encoder: from a local file, from the package, or from the hub at a pinned revision."""

from __future__ import annotations

import hashlib
import pickle
import struct
import urllib.error
import urllib.request
import warnings
from http.client import HTTPException
from pathlib import Path
from threading import Thread

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

State = dict[str, torch.Tensor]

_HEADS = ("fc.", "head.", "classifier.")  # classifiers, which dense features never use
_TRAINING_ONLY = ("mask_token", "embeddings.mask_token")
_PATIENCE_S = 3.0  # for the hub to answer
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
    """The weights file of an encoder from the hub's cache or the hub, at the pinned revision if there is one.

    Raises:
        EncoderError: the hub cannot be reached or does not let the user in; the message says what to do.
    """
    source = spec.source
    by_hand = f"pass a local copy of {source.filename or 'its weights'} with --weights FILE"
    if not source.repository:
        folder = Path(spec.name.partition(":")[2])
        if (folder / source.filename).is_file():
            return folder / source.filename
        raise EncoderError(f"encoder {spec.name!r} has no weights on the hub", mend=by_hand)
    return fetch_file(source.repository, source.filename, source.revision, by_hand, spec)


def fetch_file(
    repository: str, filename: str, revision: str | None, by_hand: str = "", spec: EncoderSpec | None = None
) -> Path:
    """A file of a repository from the hub's cache or the hub.

    Args:
        repository, filename, revision: what to fetch; no revision stands for the newest.
        by_hand: what a user without the hub can do.
        spec: the encoder that it belongs to, for the message.

    Raises:
        EncoderError: it cannot be had.
    """
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    what = f"the weights of {spec.name}" if spec is not None else f"{filename} of {repository}"
    by_hand = by_hand or "give a local folder"
    try:
        held = try_to_load_from_cache(repository, filename, revision=revision)
        if isinstance(held, str):
            return Path(held)
        if not answers(constants.ENDPOINT):
            raise ConnectionError(f"no answer from {constants.ENDPOINT}")
        return Path(hf_hub_download(repository, filename, revision=revision))
    except (GatedRepoError, RepositoryNotFoundError) as error:
        licence = f", whose licence is {spec.licence}" if spec is not None else ""
        gated = spec is not None and spec.gated
        raise EncoderError(
            f"the hub does not hand out {what}",
            expected=f"access to {repository}{licence}",
            got="a gated repository without access" if gated else str(error).splitlines()[0],
            mend=f"ask for access on {_page(constants.ENDPOINT, repository)} and run `hf auth login`, or {by_hand}",
        ) from error
    except (LocalEntryNotFoundError, OSError, ValueError) as error:
        raise EncoderError(
            f"{what} are not on this machine and the hub cannot be reached"
            if spec is not None
            else f"{what} is not on this machine and the hub cannot be reached",
            expected=f"{repository} at revision {revision or 'of today'}",
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            mend=f"connect once to download them, or {by_hand}; the encoder 'embedded' needs no download",
        ) from error


def answers(address: str) -> bool:
    """Whether a server answers at all, within three seconds; names that are not resolved can take long."""
    found: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE_S):
                found.append(True)
        except urllib.error.HTTPError:
            found.append(True)
        except (OSError, HTTPException):
            found.append(False)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return bool(found) and found[0]


def commit_of(path: Path) -> str | None:
    """The commit that a file of the hub's cache is of, or None for a file elsewhere."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else None


def _page(endpoint: str, repository: str) -> str:
    return f"{endpoint.removeprefix('https://')}/{repository}"


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
        f"{key} {tuple(given[key].shape)} where the network has {tuple(wanted[key].shape)}"
        for key in given.keys() & wanted
        if given[key].shape != wanted[key].shape
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
