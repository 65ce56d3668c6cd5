"""Files of weights, of unknown origin: read whole, or refused with what they are instead.

The kind of a file is told by what it begins with, not by its name. A torch file is a pickle, read by torch's restricted
unpickler, which calls nothing but what rebuilds tensors; what training scripts keep beside the tensors (arguments,
numbers of NumPy, paths) becomes an empty record. Sizes are checked before anything is read: no file becomes more than
it holds.
"""

from __future__ import annotations

import hashlib
import pickle
import pickletools
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from histofactor.encoders.weights_kind import ENDINGS, GET_AGAIN, foreign, is_safetensors
from histofactor.errors import EncoderError

State = dict[str, torch.Tensor]

MAX_HEADER = 1 << 24  # bytes of a safetensors header; a thousand tensors take 0.1 MB
_MAX_ENTRIES = 1_000_000  # of all dictionaries together
_MAX_DEPTH = 8  # of dictionaries within dictionaries
_MAX_NAME = 1024  # bytes of the name of a class or a function
_LEGACY_PICKLES = 5  # before the tensors, in a file that is no archive
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_COPIES = 4  # that tensors may share the bytes of a file, as tied weights do
_NEEDED = "a file of tensors: .safetensors, or a torch checkpoint without code"
_OPTIMIZER = {"state", "param_groups"}  # what torch keeps of one
_UNSAFE = "Unsupported"  # what torch says of a class or a function that a pickle names
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_INERT = (
    *("argparse.Namespace", "numpy.dtype", "numpy.ndarray", "pathlib.PosixPath", "pathlib.WindowsPath"),
    *(f"{module}.{name}" for module in _MODULES for name in ("scalar", "_reconstruct")),
)
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
    AssertionError,
    ArithmeticError,
    MemoryError,
    ImportError,
    struct.error,
    zipfile.BadZipFile,
)


class _Inert:
    """Stands for what lies beside the tensors of a checkpoint; nothing is kept of it."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def read_weights(path: Path) -> State:
    """Tensors of a weights file, by name; nothing in it is executed.

    Args:
        path: a safetensors file, or a torch file of tensors and dictionaries of them.

    Returns:
        Tensors by name; those of a dictionary within another under both names, as ``teacher.backbone.cls_token``.

    Raises:
        EncoderError: the file is not a set of tensors, or is damaged.
    """
    try:
        size, head = _begin(path)
        if (kind := foreign(head)) is not None:
            raise refuse(path, *kind)
        tree = _read_safetensors(path, size) if is_safetensors(head) else _read_torch(path, head, size)
        tensors = _flat(path, tree)
        _check_sizes(path, tensors, size)
    except _UNREADABLE as error:
        told = f"{type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}".strip()
        raise refuse(path, f"a file that was cut short or damaged, or of another kind ({told:.200})") from error
    return tensors


def file_revision(path: Path) -> str:
    """The revision of a local weights file: ``sha256:`` and its digest.

    Raises:
        EncoderError: the file does not exist or cannot be read.
    """
    _check_plain(path)
    with _opened(path) as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def refuse(path: Path, got: str, mend: str = GET_AGAIN) -> EncoderError:
    """The error for a file that cannot be read as weights."""
    return EncoderError(f"cannot read the weights {path}", expected=_NEEDED, got=got, mend=mend)


def _begin(path: Path) -> tuple[int, bytes]:
    """The size of a file and how it begins."""
    _check_plain(path)
    with _opened(path) as file:
        return path.stat().st_size, file.read(512)


@contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise refuse(
            path, error.strerror or str(error), "check the path, and that you may read what is there"
        ) from error


def _check_plain(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise refuse(path, "a folder" if path.is_dir() else "no plain file", "give the path of the file of weights")


def _read_safetensors(path: Path, size: int) -> State:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length + 8 > size:
        raise refuse(path, f"a file that was cut short: {size} bytes, and a header of {length}", "download it again")
    if length > MAX_HEADER:
        raise refuse(path, f"a header of {length} bytes, more than {MAX_HEADER}")
    try:
        return load_file(path)
    except SafetensorError as error:
        got = f"a file that was cut short or damaged ({error})"
        raise refuse(path, f"{got:.200}", "download it again") from error


def _read_torch(path: Path, head: bytes, size: int) -> Any:
    """What a torch file holds; its tensors share the file's bytes."""
    if head.startswith(b"PK"):
        _check_archive(path, size)
    else:
        with path.open("rb") as file:
            _check_names(path, file, _LEGACY_PICKLES)
    inert: list[Any] = [(_Inert, name) for name in _INERT]
    with warnings.catch_warnings(), torch.serialization.safe_globals(inert):
        warnings.simplefilter("ignore")  # about the protocol or the age of files that are refused anyway
        try:
            with path.open("rb") as file:  # by its name alone torch may take it for another kind
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            named = _unsafe_names(path)
            if not named and _UNSAFE not in str(error):
                raise
            names = f" ({', '.join(named)[:120]})" if named else ""
            got = f"a pickle of more than tensors{names}, which could run code and was refused"
            mend = "where you trust the file, load it and save model.state_dict() alone; or convert it to safetensors"
            raise refuse(path, got, mend) from error


def _unsafe_names(path: Path) -> list[str]:
    """What a torch file names beside tensors, as far as that can be found out without running it."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except _UNREADABLE:  # legacy files; the caller tells what torch said
        return []


def _check_names(path: Path, file: IO[bytes], pickles: int) -> None:
    """Refuse names longer than any: torch searches its own message about one in time that grows with its square."""
    with suppress(ValueError):  # torch says what is wrong
        while pickles and (opcode := _OPCODES.get(file.read(1))) is not None:
            if opcode.name == "GLOBAL":
                if any(len(file.readline(_MAX_NAME)) == _MAX_NAME for _ in ("module", "name")):
                    raise refuse(path, f"a pickle with a name of more than {_MAX_NAME} bytes")
            elif opcode.arg is not None:
                opcode.arg.reader(file)
            pickles -= opcode.name == "STOP"


def _check_archive(path: Path, size: int) -> None:
    """Refuse an archive that is cut short, no torch file, or would become more than it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise refuse(path, "a file that was cut short or damaged: its directory is missing", GET_AGAIN) from error
    names = {entry.filename.partition("/")[2] for entry in entries}
    if "constants.pkl" in names:
        mend = "where you trust the file, load it with torch.jit.load and save its state_dict()"
        raise refuse(path, "a TorchScript program, which is code", mend)
    if inside := [entry.filename for entry in entries if entry.filename.endswith(ENDINGS)]:
        raise refuse(path, f"an archive with {inside[0]:.80} in it", "unpack it, and give that file")
    if "data.pkl" not in names:
        raise refuse(path, "an archive of something else (NumPy, Keras, …)", "convert it to safetensors")
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not stored or sum(entry.file_size for entry in entries) > size:
        raise refuse(path, "an archive that becomes larger than it is, which torch never writes")
    with zipfile.ZipFile(path) as archive:
        for entry in entries:
            if entry.filename.partition("/")[2] == "data.pkl":
                with archive.open(entry) as file:
                    _check_names(path, file, 1)


def _flat(path: Path, tree: Any) -> State:
    """Tensors of dictionaries within dictionaries, by their joint names."""
    if not isinstance(tree, Mapping):
        raise refuse(path, f"a {type(tree).__name__} in place of a dictionary of tensors by name")
    tensors: State = {}
    for name, tensor in _walk(path, tree):
        if name in tensors:
            raise refuse(path, f"two tensors of the name {name!r:.80}")
        tensors[name] = tensor
    kept = [tree] if tensors else [tree, *tree.values()]
    if any(isinstance(one, Mapping) and one.keys() >= _OPTIMIZER for one in kept):
        got = "the state of an optimizer, which training keeps beside the weights"
        raise refuse(path, got, "give the file of the weights themselves")
    if not tensors:
        raise refuse(path, "something else than a dictionary of tensors by name")
    return tensors


def _walk(path: Path, tree: Mapping[Any, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors; entries that have no name or are no tensors are passed over."""
    seen = 0
    waiting: list[tuple[str, int, Mapping[Any, Any]]] = [("", 0, tree)]
    while waiting:
        prefix, depth, entries = waiting.pop()
        seen += len(entries)
        if seen > _MAX_ENTRIES or depth > _MAX_DEPTH:
            raise refuse(path, "dictionaries within dictionaries that do not end")
        for key, value in entries.items():
            if not isinstance(key, str):
                continue
            if isinstance(value, Mapping):
                waiting.append((f"{prefix}{key}.", depth + 1, value))
            elif isinstance(value, torch.Tensor):
                yield prefix + key, value


def _check_sizes(path: Path, tensors: State, size: int) -> None:
    """Refuse tensors that are no plain arrays, or together take more than their file."""
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            kind = "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
            kind = "quantized" if tensor.layout is torch.strided and tensor.is_quantized else kind
            raise refuse(path, f"a tensor without plain values: {name!r:.80} ({kind})", "save plain tensors")
        if tensor.is_floating_point() and tensor.element_size() == 1:
            kind = str(tensor.dtype).removeprefix("torch.")
            got = f"numbers of 8 bits at most, {name!r:.80} of {kind}, too coarse or with scales elsewhere"
            raise refuse(path, got, "get the weights as float32, float16 or bfloat16")
    taken = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if taken > _COPIES * size:
        raise refuse(path, f"tensors of {taken} bytes in a file of {size}")
