"""The network of a row, with random weights, and how tensors of a file become its own."""

from __future__ import annotations

import sys
from typing import Any

import torch

from histofactor.base.extras import install
from histofactor.encoders.published import as_plain
from histofactor.encoders.weights_file import State
from histofactor.errors import EncoderError
from histofactor.records import EncoderSpec

# What libraries raise on tensors that they did not write, such as those of no size.
_NOT_OF_THIS_FAMILY = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


def build_network(spec: EncoderSpec) -> torch.nn.Module:
    """The network of a row, with random weights.

    Raises:
        EncoderError: the network cannot be built here; the message says what is missing.
    """
    source = spec.source
    if source.library == "embedded":
        from histofactor.encoders.embedded.network import EmbeddedNetwork

        return EmbeddedNetwork()
    if source.library == "own":
        import_timm(spec.name)  # which parts of them are
        from histofactor.encoders import own_networks

        network: torch.nn.Module = getattr(own_networks, source.architecture)(**source.arguments)
        return network
    if source.library == "transformers":
        return _transformers(spec)
    return _timm(spec)


def _timm(spec: EncoderSpec) -> torch.nn.Module:
    timm = import_timm(spec.name)
    from timm.layers.mlp import SwiGLUPacked

    classes = {"SwiGLUPacked": SwiGLUPacked, "SiLU": torch.nn.SiLU}
    arguments: dict[str, Any] = {
        name: classes[value] if name in {"mlp_layer", "act_layer"} else value
        for name, value in spec.source.arguments.items()
    }
    network: torch.nn.Module = timm.create_model(spec.source.architecture, pretrained=False, num_classes=0, **arguments)
    return network


def _transformers(spec: EncoderSpec) -> torch.nn.Module:
    source = spec.source
    library = import_transformers(spec.name)
    config = getattr(library, source.architecture).config_class(**source.arguments)
    kind = getattr(library, source.architecture)
    network: torch.nn.Module = kind(config, **_options(kind))
    return network


def _options(kind: Any) -> dict[str, bool]:
    """What a network of transformers is built with: no head that dense features do not need."""
    name = kind.__name__ if isinstance(kind, type) else type(kind).__name__
    return {"add_pooling_layer": False} if name == "ViTModel" else {}


def build_remote(spec: EncoderSpec) -> torch.nn.Module:
    """The network of a row that is code of its repository, with its weights.

    Raises:
        EncoderError: no commit of that code is allowed to run, or it cannot be had.
    """
    source = spec.source
    if source.revision is None:
        raise EncoderError(
            f"encoder {spec.name!r} is code of its repository, which is not run unasked",
            expected=f"a commit of {source.repository} whose code you have read",
            got="none",
            mend="name it with --remote-code COMMIT",
        )
    library = import_transformers(spec.name)
    try:
        network: torch.nn.Module = library.AutoModel.from_pretrained(
            source.repository, revision=source.revision, code_revision=source.revision, trust_remote_code=True
        )
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"encoder {spec.name!r} cannot be had from {source.repository}",
            expected=f"its code and weights at {source.revision}",
            got=str(error).splitlines()[0],
            mend="check the commit, ask for access on its page and run `hf auth login`",
        ) from error
    return network


def import_timm(name: str) -> Any:
    """The library timm, which imports torchvision.

    Raises:
        EncoderError: one of the two is missing, or torchvision was built for another PyTorch than is here.
    """
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # operators of a torchvision that cannot be loaded are not there
        raise EncoderError(
            "this torchvision does not belong to this PyTorch",
            expected=f"both of one release, and both for CPUs or both for CUDA, to build encoder {name!r}",
            got=f"torch {torch.__version__} and: {error}",
            mend="install both from one index; see docs/install.md",
        ) from error
    return timm


def import_transformers(name: str) -> Any:
    """The library transformers.

    Raises:
        EncoderError: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise EncoderError(
            f"encoder {name!r} needs the library transformers", got="it is not installed", mend=install("transformers")
        ) from error
    return transformers


def adapt(network: torch.nn.Module, state: State, spec: EncoderSpec) -> State:
    """Tensors of a file under the names that the network gives them.

    Files name tensors as the code did that wrote them; timm, transformers and the networks of
    ``encoders.own_networks`` know how older names became theirs. A file that fits stays as it is.

    Args:
        network: with random weights.
        state: tensors of a file.
        spec: the row of the network.
    """
    prefix = spec.source.key_prefix
    if prefix and any(key.startswith(prefix) for key in state):
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if state.keys() >= network.state_dict().keys():
        return state
    state = as_plain(state, spec.source)
    if state.keys() >= network.state_dict().keys():
        return state
    if spec.source.library == "transformers":
        return _by_transformers(network, state)
    convert = getattr(network, "convert", None) or getattr(
        sys.modules[type(network).__module__], "checkpoint_filter_fn", None
    )
    if convert is None:
        return state
    try:
        converted: State = convert(state, network)
    except _NOT_OF_THIS_FAMILY:
        return state  # not a file of this family: loading it says which tensors differ
    return converted


def _by_transformers(network: Any, state: State) -> State:
    """Let transformers rename the tensors of its own files; tensors that do not fit keep their names."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(40)  # errors only; what does not fit is told by whoever loads the tensors
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded, report = type(network).from_pretrained(
            None, config=network.config, state_dict=dict(state), output_loading_info=True, **_options(network)
        )
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    if report["missing_keys"] or report["mismatched_keys"]:
        return state
    renamed: State = loaded.state_dict()
    return renamed
