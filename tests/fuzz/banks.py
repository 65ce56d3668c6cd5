"""Readers of concept banks, of foreign banks and of weights of encoders."""

import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import joblib
import numpy as np
import torch
from safetensors.numpy import save as save_arrays
from safetensors.torch import save_file

from fuzz.case import Target, without_running
from histofactor.concepts.bank.edit import merge, rename
from histofactor.concepts.bank.exclude import exclude
from histofactor.concepts.bank.file import BankFile, read_bank_file, write_bank_file
from histofactor.concepts.bank.record import new_bank
from histofactor.concepts.legacy import import_legacy
from histofactor.encoders import registry
from histofactor.encoders.prefix import fit_names
from histofactor.encoders.weights import as_float, load_state
from histofactor.encoders.weights_file import read_weights
from histofactor.export.bank_page import write_bank_page
from histofactor.records import EncoderKey

KEY = EncoderKey("tiny", "1", "conv", "relu")
DIM = 5
_COUNTS = {"tokens": [5, 4, 3], "per_slide": [[5, 4, 3]], "per_group": {"a": [5, 4, 3]}}


def read_bank(path: Path) -> None:
    """Read a bank as ``concepts show --html``, ``name``, ``merge`` and ``exclude`` do, and write it again."""
    file = read_bank_file(path)
    write_bank_page(file, path.with_name("page.html"), "bank")
    k = max(file.banks)
    write_bank_file(rename(file, k, {1: "tumour"}), path.with_name("named.safetensors"))
    if k > 2:
        write_bank_file(merge(file, k, [((1, 2), "both")]), path.with_name("merged.safetensors"))
        write_bank_file(exclude(file, k, [3]).file, path.with_name("excluded.safetensors"))


def read_foreign(path: Path) -> None:
    """Import a bank of another program."""
    import_legacy(path, KEY, dim=DIM)


def read_network(path: Path) -> None:
    """Load a file of weights into a network."""
    net = network()
    state, _ = fit_names(net, read_weights(path), registry.get("resnet50"))
    load_state(net, as_float(state), "tiny")


def network() -> torch.nn.Module:
    """A network of some tensors."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 2, bias=False))


def make_banks(folder: Path) -> None:
    """A bank of one K, and one of several with all that training writes down."""
    rng = np.random.default_rng(0)
    fine = new_bank(rng.random((3, DIM), np.float32), KEY, mpp=0.5, provenance=_COUNTS)
    coarse = new_bank(rng.random((2, DIM), np.float32), KEY, mpp=0.5)
    write_bank_file(BankFile({2: coarse}), folder / "one.safetensors")
    card = {
        "slides": [{"name": "a.svs", "sha256": "0" * 64, "tokens": 12, "side": 8}],
        "seed": 0,
        "choice": {"rows": [], "k": 3},
    }
    merged = merge(BankFile({2: coarse, 3: fine}, card), 3, [((1, 2), "both")])
    write_bank_file(BankFile({2: coarse, 3: fine}, card), folder / "two.safetensors")
    write_bank_file(merged, folder / "merged.safetensors")
    write_bank_file(exclude(merged, 3, [3]).file, folder / "excluded.safetensors")


def make_foreign(folder: Path) -> None:
    """Arrays as joblib and NumPy write them."""
    tables = {k: np.random.default_rng(k).random((k, DIM), np.float32) for k in (2, 3)}
    joblib.dump(tables, folder / "a.joblib")
    joblib.dump(tables[3].astype(np.float64), folder / "one.pkl", protocol=2)
    np.save(folder / "a.npy", tables[3])
    np.save(folder / "fortran.npy", np.asfortranarray(tables[3].astype(">f8")))
    np.savez(folder / "a.npz", **{f"k{k}": table for k, table in tables.items()})
    np.savez_compressed(folder / "packed.npz", **{f"k{k}": table for k, table in tables.items()})


def make_weights(folder: Path) -> None:
    """The tensors of a network in every kind of file."""
    state = network().state_dict()
    save_file(state, folder / "a.safetensors")
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file({f"module.{name}": value for name, value in half.items()}, folder / "half.safetensors")
    torch.save(state, folder / "a.pth")
    torch.save({"teacher": state, "epoch": 3, "lr": np.float64(0.1)}, folder / "teacher.pth")
    torch.save(state, folder / "old.pth", _use_new_zipfile_serialization=False)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _header(folder: Path, **stated: object) -> Path:
    """A safetensors file whose header says of its 12 bytes what it is told to."""
    header = {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]} | stated}
    text = json.dumps(header).encode()
    return _written(folder / "lie.safetensors", len(text).to_bytes(8, "little") + text + bytes(12))


def _long_header(folder: Path) -> Path:
    return _written(folder / "long.safetensors", (1 << 39).to_bytes(8, "little") + b"{" + bytes(100))


def _deep(folder: Path) -> Path:
    deep = "[" * 100_000 + "]" * 100_000
    tensors = {"k2/vectors": np.ones((2, DIM), np.float32)}
    return _written(folder / "deep.safetensors", save_arrays(tensors, metadata={"histofactor": deep}))


def _deep_value(folder: Path) -> Path:
    """A bank one of whose fields is as deep as JSON may be read, but hardly written."""
    write_bank_file(BankFile({2: new_bank(np.ones((2, DIM), np.float32), KEY)}), folder / "deep.safetensors")
    content = (folder / "deep.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    stated = header["__metadata__"]["histofactor"]
    header["__metadata__"]["histofactor"] = stated[:-1] + ', "more": ' + "[" * 900 + "]" * 900 + "}"
    text = json.dumps(header).encode()
    return _written(folder / "deep.safetensors", len(text).to_bytes(8, "little") + text + content[8 + length :])


def _wide_npz(folder: Path) -> Path:
    np.savez_compressed(folder / "wide.npz", a=np.zeros((8, 2**25), np.float32))
    return folder / "wide.npz"


def _lying_npz(folder: Path) -> Path:
    """An archive whose directory says little of what it becomes."""
    data = bytearray(_wide_npz(folder).read_bytes())
    at = data.index(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, 100)
    return _written(folder / "wide.npz", bytes(data))


def _npy(folder: Path, header: bytes) -> Path:
    return _written(folder / "a.npy", b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header)


def _calling(folder: Path) -> Path:
    class Harm:
        def __reduce__(self):
            return Path.write_text, (folder / "ran", "")

    return _written(folder / "harm.joblib", pickle.dumps({2: Harm()}))


def _zeros(folder: Path) -> Path:
    """A checkpoint of 5 MB that inflates to 1 GB."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, buffer)
    with (
        zipfile.ZipFile(buffer) as old,
        zipfile.ZipFile(folder / "zeros.pth", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for entry in old.infolist():
            if not entry.filename.endswith("data/0"):
                new.writestr(entry.filename, old.read(entry))
                continue
            with new.open(entry.filename, "w", force_zip64=True) as file:
                for _ in range(2**6):
                    file.write(bytes(2**24))
    return folder / "zeros.pth"


def _long_name(folder: Path) -> Path:
    """A legacy checkpoint that names something without end."""
    torch.save(network().state_dict(), folder / "old.pth", _use_new_zipfile_serialization=False)
    content = (folder / "old.pth").read_bytes()
    return _written(folder / "old.pth", content.replace(b"collections\nOrderedDict", b"a" * 400_000 + b"\nb", 1))


def _with(folder: Path, name: str, **changed: torch.Tensor) -> Path:
    torch.save(network().state_dict() | {key.replace("_", "."): value for key, value in changed.items()}, folder / name)
    return folder / name


def _tied(folder: Path) -> Path:
    torch.save({"a": torch.zeros(1).expand(2**40)}, folder / "tied.pth")
    return folder / "tied.pth"


_LIES = {
    "long shape": {"shape": [2**62, 2**62]},
    "long offsets": {"data_offsets": [0, 2**40]},
    "backwards": {"data_offsets": [12, 0]},
    "negative": {"shape": [-3]},
    "dtype": {"dtype": "F8_E4M3"},
}
_HEADERS = {name: lambda folder, lie=lie: _header(folder, **lie) for name, lie in _LIES.items()}

TARGETS = (
    Target(
        "banks",
        make_banks,
        read_bank,
        crafted={**_HEADERS, "long header": _long_header, "deep": _deep, "deep value": _deep_value},
    ),
    Target(
        "foreign",
        make_foreign,
        without_running(read_foreign),
        crafted={
            "wide": _wide_npz,
            "lying": _lying_npz,
            "objects": lambda folder: _npy(folder, b"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}\n"),
            "huge": lambda folder: _npy(
                folder, b"{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000, 5)}\n"
            ),
            "deep": lambda folder: _npy(folder, b"(" * 60_000),
            "calling": _calling,
        },
    ),
    Target(
        "weights",
        make_weights,
        without_running(read_network),
        crafted={
            **_HEADERS,
            "long header": _long_header,
            "zeros": _zeros,
            "NaN": lambda folder: _with(folder, "nan.pth", **{"0_weight": torch.full((4, 3), float("nan"))}),
            "complex": lambda folder: _with(folder, "c.pth", **{"0_weight": torch.ones(4, 3, dtype=torch.complex64)}),
            "meta": lambda folder: _with(folder, "meta.pth", **{"0_weight": torch.ones(4, 3, device="meta")}),
            "tied": _tied,
            "long name": _long_name,
            "calling": lambda folder: _calling(folder).rename(folder / "harm.pth"),
        },
    ),
)
