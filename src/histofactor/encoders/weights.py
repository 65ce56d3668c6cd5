"""Weights of an encoder: tensors loaded where they fit its network, and only there."""

from __future__ import annotations

from pathlib import Path

import torch

from histofactor.base.text import counted
from histofactor.encoders.weights_file import State
from histofactor.errors import EncoderError

_HEADS = ("fc.", "head.", "classifier.")  # classifiers, which dense features never use
_TIMES = 16  # as many numbers as a network has
_TRAINING_ONLY = ("mask_token", "embeddings.mask_token")


def load_state(network: torch.nn.Module, state: State, name: str) -> None:
    """Load tensors into a network; every parameter must be there with its shape, and be made of finite real numbers.

    Args:
        network: whose tensors they become.
        state: tensors by the network's names.
        name: of the encoder, for the message.

    Raises:
        EncoderError: tensors are missing, unknown, of another shape or kind, or hold NaN or infinity.
    """
    wanted = network.state_dict()
    if differ := misfit(network, state):
        raise EncoderError(
            f"the weights do not fit {name}",
            expected=f"{len(wanted)} tensors such as {next(iter(wanted))}",
            got=differ,
            mend="check that the file belongs to this encoder",
        )
    given = {key: value for key, value in state.items() if key in wanted}
    if odd := [told for key in given if (told := _oddity(key, given[key], wanted[key]))]:
        are = "is" if len(odd) == 1 else "are"
        raise EncoderError(
            f"the weights cannot be those of {name}",
            expected="finite numbers of the kind that the network has, which differ",
            got=f"{counted(len(odd), 'tensor')} that {are} not: {', '.join(sorted(odd)[:3])}",
            mend="get a fresh copy of the file, or convert it again",
        )
    network.load_state_dict(given, strict=False)


def misfit(network: torch.nn.Module, state: State) -> str:
    """Which tensors are missing, unknown or of another shape, or "".

    Args:
        network: whose tensors they are to become.
        state: tensors by the network's names.
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
    return "; ".join(
        f"{len(keys)} {what}: {', '.join(f'{key:.160}' for key in sorted(keys)[:3])}"
        for what, keys in (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
        if keys
    )


def _oddity(key: str, given: torch.Tensor, wanted: torch.Tensor) -> str:
    """What is wrong with the values of a tensor, or ""."""
    if given.is_complex() or given.is_floating_point() != wanted.is_floating_point():
        return f"{key} of {str(given.dtype).removeprefix('torch.')}"
    if not given.is_floating_point() or not given.numel():
        return ""
    least, largest = given.float().aminmax()  # NaN where there is any
    if not (torch.isfinite(least) and torch.isfinite(largest)):
        return f"{key} with NaN or infinity"
    is_matrix = given.ndim > 1 and given.numel() > 1 and key.endswith("weight")
    return f"{key} of {least:g} alone" if is_matrix and least == largest else ""


def _dispensable(key: str) -> bool:
    return key.startswith(_HEADS) or key in _TRAINING_ONLY


def embedded_path(filename: str) -> Path:
    """A file that ships with the package, beside the embedded encoder."""
    return Path(__file__).parent / "embedded" / filename


def as_float(state: State, network: torch.nn.Module | None = None) -> State:
    """Half-precision tensors widened to float32, others as they are.

    All stay as they are where they are far more than the network could take: widened, they might not fit in memory.

    Args:
        state: tensors by name.
        network: that they may be of; None widens any.
    """
    if network is not None:
        most = _TIMES * sum(one.numel() for one in network.state_dict().values())
        if sum(one.numel() for one in state.values()) > most:
            return state
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
