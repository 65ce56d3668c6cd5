"""Is an encoder what its row says? Built, looked through, and timed here."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np
import torch

from histofactor.encoders.build import Weighted
from histofactor.encoders.encode import encode, normalise
from histofactor.encoders.encoder import Encoder
from histofactor.encoders.own_forward import Compared, compare
from histofactor.encoders.repair import outliers
from histofactor.records import EncoderSpec
from histofactor.slides.phantom import phantom

_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        grid: tokens (rows, columns) of a window, as many as its row says.
        finite: whether all tokens are finite numbers.
        alike: whether they are the same at all places.
        geometry: whether a lit patch lights its own token more than any other (its centre, for convolutions).
        norm: median norm of a token of tissue.
        outliers: share of the tokens whose norm stands out.
        tokens_s: tokens encoded in a second, the median of three windows.
        peak_mb: largest memory of the process so far, or of the accelerator while it encoded.
    """

    grid: tuple[int, int]
    finite: bool
    alike: bool
    geometry: bool
    norm: float
    outliers: float
    tokens_s: float
    peak_mb: float


def check_encoder(encoder: Encoder) -> Checked:
    """Look through a loaded encoder on procedural tissue.

    Args:
        encoder: with its weights.

    Raises:
        EncoderError: its grid is not the one of its row.
    """
    spec = encoder.spec
    side = spec.window.size_px
    tissue = phantom((side, side), seed=0, mpp=spec.mpp).image[None]
    maps = raw(encoder, tissue)
    if encoder.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(encoder.device)
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        features = encode(encoder, tissue)
        if encoder.device.type == "cuda":
            torch.cuda.synchronize(encoder.device)
        seconds.append(time.perf_counter() - started)
    rows, columns = features.values.shape[1:3]
    return Checked(
        (rows, columns),
        bool(torch.isfinite(maps).all()),
        bool((maps == maps[..., :1, :1]).all()),
        _is_placed_right(encoder, tissue, maps),
        float(maps.norm(dim=1).median()),
        float(outliers(maps).float().mean()),
        rows * columns / float(np.median(seconds)),
        _peak_mb(encoder.device),
    )


@torch.inference_mode()
def compare_forward(spec: EncoderSpec, given: Weighted, device: torch.device) -> Compared | None:
    """Compare tokens of procedural tissue with those of the encoder's own forward, see ``encoders.own_forward``.

    Args:
        spec: the row, with windows of the size that it was published for.
        given: its network and weights.
        device: where the network is.

    Returns:
        The comparison, or None where there is no other forward.
    """
    if not spec.prefix_tokens:
        return None
    side = spec.window.size_px
    pixels = normalise(phantom((side, side), seed=0, mpp=spec.mpp).image[None], spec, device)
    return compare(spec, given.network, given.path, pixels)


@torch.inference_mode()
def raw(encoder: Encoder, pixels: np.ndarray) -> torch.Tensor:
    """The feature map (n, d, h, w) of RGB (n, height, width, 3) before the transform."""
    return encoder.dense(normalise(pixels, encoder.spec, encoder.device)).float()


def access(spec: EncoderSpec) -> str:
    """Whether the hub would hand out the weights, as a sentence."""
    if not spec.source.repository:
        return "needs no hub"
    from huggingface_hub import constants

    return "not asked: HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else _asked(spec.source.repository)


def _asked(repository: str) -> str:
    from huggingface_hub import auth_check, constants
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    from histofactor.encoders.hub import answers

    if not answers(constants.ENDPOINT):
        return "the hub cannot be reached"
    try:
        auth_check(repository)
    except GatedRepoError:
        page = f"{constants.ENDPOINT.removeprefix('https://')}/{repository}"
        return f"no access yet: ask for it on {page}, then run `hf auth login`"
    except RepositoryNotFoundError:
        return f"no repository {repository} for you: private, or gone"
    except (HfHubHTTPError, OSError) as error:
        return f"the hub answers {str(error).splitlines()[0]}"
    return "the hub would let you in"


def _is_placed_right(encoder: Encoder, tissue: np.ndarray, dark: torch.Tensor) -> bool:
    """Whether what is at a place in the window is at that place on the grid."""
    step, (rows, columns) = encoder.spec.patch_px, dark.shape[2:]
    row, column = rows // 2, columns // 2
    lit = tissue.copy()
    lit[:, row * step : (row + 1) * step, column * step : (column + 1) * step] = (255, 0, 0)
    change = (raw(encoder, lit) - dark).norm(dim=1)[0].double().cpu().numpy()
    if encoder.spec.prefix_tokens:
        return bool(change.argmax() == row * columns + column)
    energy = change**2
    if not 0 < energy.sum() < np.inf:
        return False
    centre = [(energy.sum(1 - axis) * np.arange(energy.shape[axis])).sum() / energy.sum() for axis in (0, 1)]
    return bool(np.abs(np.subtract(centre, (row, column))).max() <= 1)


def _peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
