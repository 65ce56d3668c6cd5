"""Files of weights: known by their content, nothing is executed, and none becomes more than it is."""

import argparse
import collections
import io
import os
import pickle
import resource
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from histofactor.encoders.weights import load_state
from histofactor.encoders.weights_file import MAX_HEADER, file_revision, read_weights
from histofactor.errors import EncoderError
from spoiled import mutated


@pytest.fixture
def network():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "teacher"])
def test_reads_what_was_written(tmp_path, network, suffix, wrapper):
    state, path = network.state_dict(), tmp_path / f"w{suffix}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state if wrapper is None else {wrapper: state, "epoch": 3}, path)
    read = read_weights(path)
    prefix = "" if wrapper is None or suffix == ".safetensors" else f"{wrapper}."
    assert read.keys() == {prefix + key for key in state}
    load_state(network, {key.removeprefix(prefix): value for key, value in read.items()}, "test")


def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path):
    sentinel, path = tmp_path / "ran", tmp_path / "evil.bin"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(sentinel),)

    path.write_bytes(pickle.dumps({"weight": Evil()}))
    with pytest.raises(EncoderError, match="without code"):
        read_weights(path)
    assert not sentinel.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("content", [b"", b"hello, I am text", b"\x00" * 64])
def test_files_that_are_no_weights(tmp_path, suffix, content):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match="cannot read the weights"):
        read_weights(path)


def test_a_checkpoint_of_something_else(tmp_path):
    torch.save([1, 2, 3], tmp_path / "w.pt")
    with pytest.raises(EncoderError, match="dictionary of tensors"):
        read_weights(tmp_path / "w.pt")


def test_missing_file(tmp_path):
    with pytest.raises(EncoderError, match="No such file"):
        file_revision(tmp_path / "none.safetensors")


def test_the_content_tells_the_kind_not_the_name(tmp_path, network):
    state = network.state_dict()
    torch.save(state, tmp_path / "torch.safetensors")
    save_file(state, tmp_path / "safe.bin")
    for name in ("torch.safetensors", "safe.bin"):
        read = read_weights(tmp_path / name)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[key], value) for key, value in state.items())


def test_what_training_keeps_beside_the_tensors_is_passed_over(tmp_path, network):
    checkpoint = {
        "teacher": collections.OrderedDict(network.state_dict()),
        "args": argparse.Namespace(arch="vit", lr=np.float64(5e-4), out=Path("run")),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "history": np.arange(4.0),
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "dino.pth")
    read = read_weights(tmp_path / "dino.pth")
    assert read.keys() == {f"teacher.{key}" for key in network.state_dict()}
    assert torch.equal(read["teacher.0.weight"], network[0].weight)


def test_a_whole_model_is_refused_by_what_it_names(tmp_path, network):
    torch.save(network, tmp_path / "model.pth")
    with pytest.raises(EncoderError, match=r"torch\.nn\.modules") as error:
        read_weights(tmp_path / "model.pth")
    assert "state_dict" in error.value.mend


def test_a_name_without_end_is_refused_at_once(tmp_path, network):
    """Torch would search its message about the name for minutes."""
    torch.save(network.state_dict(), tmp_path / "a.pth")
    torch.save(network.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    pickled, name = b"collections\nOrderedDict", b"a" * 400_000 + b"\nb"
    old = (tmp_path / "old.pth").read_bytes()
    (tmp_path / "old.pth").write_bytes(old.replace(pickled, name, 1))
    with zipfile.ZipFile(tmp_path / "a.pth") as before, zipfile.ZipFile(tmp_path / "new.pth", "w") as after:
        for entry in before.namelist():
            after.writestr(entry, before.read(entry).replace(pickled, name, 1))
    script = "import sys, pathlib\nfrom histofactor.encoders.weights_file import read_weights\n"
    for path in ("old.pth", "new.pth"):
        command = [sys.executable, "-c", script + "read_weights(pathlib.Path(sys.argv[1]))", str(tmp_path / path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "a name of more than 1024 bytes" in done.stderr


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_program_is_refused(tmp_path, network):
    torch.jit.save(torch.jit.script(network), tmp_path / "model.pt")
    with pytest.raises(EncoderError, match="TorchScript"):
        read_weights(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 22122222\n", "Git LFS pointer"),
        (b"<!doctype html><html><title>Access is restricted</title></html>", "web page"),
        (b"\n <HTML><body>log in</body></HTML>", "web page"),
        (b'{"error": "not found"}', "text file"),
        (b"", "empty file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_what_a_file_is_instead(tmp_path, content, word, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=word):
        read_weights(path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_files_that_were_cut_short_say_so(tmp_path, network, name):
    path = tmp_path / name
    save_file(network.state_dict(), path) if name == "w.safetensors" else torch.save(network.state_dict(), path)
    whole = path.read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(EncoderError, match="cut short"):
            read_weights(path)


def test_folders_and_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, word in ((tmp_path, "a folder"), (tmp_path / "pipe", "no plain file")):
        for read in (read_weights, file_revision):
            with pytest.raises(EncoderError, match=word):
                read(path)


def test_tensors_without_plain_values_are_refused(tmp_path):
    for odd, word in (
        (torch.zeros(3, device="meta"), "meta"),
        (torch.eye(3).to_sparse(), "sparse"),
    ):
        torch.save({"weight": odd}, tmp_path / "w.pth")
        with pytest.raises(EncoderError, match=word):
            read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("state", [{0: torch.zeros(3)}, {"epoch": 3}, {(1, 2): torch.zeros(1)}, {}])
def test_tensors_need_names(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(EncoderError, match="tensors by name"):
        read_weights(tmp_path / "w.pth")


def test_dictionaries_that_hold_each_other_end(tmp_path):
    nested = {"weight": torch.zeros(1)}
    for _ in range(60):
        nested = {"a": nested, "b": nested}
    torch.save(nested, tmp_path / "w.pth")
    with pytest.raises(EncoderError, match="do not end"):
        read_weights(tmp_path / "w.pth")


def inflated(path):
    """A torch file whose archive is compressed: 1 GB of zeros in a few MB."""
    torch.save({"weight": torch.zeros(3)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            if not name.endswith("data/0"):
                archive.writestr(name, content)
                continue
            with archive.open(name, "w", force_zip64=True) as entry:
                for _ in range(1024):
                    entry.write(bytes(1 << 20))


def repeated(path):
    """Tensors of 4 TB that all share one number."""
    torch.save({f"weight{i}": torch.zeros(1).expand(10**6, 10**4) for i in range(100)}, path)


def long_header(path):
    """A safetensors file that is header alone."""
    path.write_bytes((MAX_HEADER + 2).to_bytes(8, "little") + b"{" + b" " * MAX_HEADER + b"}")


@pytest.mark.parametrize("make", [inflated, repeated, long_header])
def test_no_file_becomes_more_than_it_is(tmp_path, make):
    make(tmp_path / "w.pth")
    code = (
        "import resource, sys, time; from histofactor.encoders.weights_file import read_weights\n"
        "from histofactor.errors import EncoderError; from pathlib import Path\n"
        "before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()\n"
        "try: read_weights(Path(sys.argv[1]))\n"
        "except EncoderError as error: print(error, file=sys.stderr)\n"
        "else: sys.exit('not refused')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, time.perf_counter() - started)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w.pth")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "cannot read the weights" in done.stderr
    more_kb, seconds = map(float, done.stdout.split())
    assert more_kb < 500_000
    assert seconds < 10


def test_damaged_files_raise_nothing_else(tmp_path, network):
    """Bytes changed, cut out and repeated, with a fixed seed: what is not refused is a dictionary of tensors."""
    rng, path = np.random.default_rng(7), tmp_path / "w"
    save_file(network.state_dict(), path)
    seeds = [path.read_bytes()]
    torch.save(network.state_dict(), path)
    seeds.append(path.read_bytes())
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=False)
    seeds.append(path.read_bytes())
    limit = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 500_000
    for number in range(600):
        path.write_bytes(mutated(seeds[number % 3], rng, head=400, longest=40))
        started = time.perf_counter()
        with suppress(EncoderError):
            assert all(isinstance(tensor, torch.Tensor) for tensor in read_weights(path).values())
        assert time.perf_counter() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < limit


def test_legacy_files_are_read(tmp_path, network):
    torch.save(network.state_dict(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    read = read_weights(tmp_path / "w.pth")
    assert torch.equal(read["0.weight"], network[0].weight)


def test_an_archive_of_numpy_is_something_else(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, weight=np.zeros(3))
    (tmp_path / "w.pth").write_bytes(buffer.getvalue())
    with pytest.raises(EncoderError, match="archive of something else"):
        read_weights(tmp_path / "w.pth")


def test_the_state_of_an_optimizer_is_told(tmp_path, network):
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    torch.save({"optimizer": optimizer.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    for name in ("optimizer.pt", "checkpoint.pt"):
        with pytest.raises(EncoderError, match="the state of an optimizer") as error:
            read_weights(tmp_path / name)
        assert error.value.mend == "give the file of the weights themselves"


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_numbers_of_8_bits_are_refused(tmp_path, kind):
    """Their scales are kept elsewhere, and without these they are other numbers."""
    save_file({"weight": torch.ones(3).to(kind)}, tmp_path / "w.safetensors")
    with pytest.raises(EncoderError, match=r"numbers of 8 bits at most, 'weight' of float8") as error:
        read_weights(tmp_path / "w.safetensors")
    assert error.value.mend == "get the weights as float32, float16 or bfloat16"


def test_an_archive_around_weights_is_to_be_unpacked(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.write(tmp_path / "w.safetensors", "uni/w.safetensors")
    with pytest.raises(EncoderError, match=r"an archive with uni/w\.safetensors in it; unpack it"):
        read_weights(tmp_path / "w.zip")


def test_what_is_not_there_is_not_called_damaged(tmp_path):
    for read in (read_weights, file_revision):
        with pytest.raises(EncoderError, match="got No such file or directory; check the path"):
            read(tmp_path / "none.safetensors")
