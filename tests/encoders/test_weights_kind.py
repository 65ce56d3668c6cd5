"""Files known by their first bytes."""

import gzip
import io
import tarfile

import pytest

from histofactor.encoders.weights_kind import foreign, is_safetensors


def tar():
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.safetensors"))
    return made.getvalue()


@pytest.mark.parametrize(
    ("head", "got", "mend"),
    [
        (b"", "an empty file", "download it again"),
        (gzip.compress(b"weights", mtime=0), "a packed file", "unpack it"),
        (tar(), "a packed file", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "a packed file", "unpack it"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer", "fetch the file itself"),
        (b"<!-- kept --> <!DOCTYPE html>", "a web page", "log in"),
        (b"\n<!DOCTYPE html>", "a web page", "log in"),
        (b'{"weight_map": {}}', "a text file", "download it again"),
        (b"GGUF\x03" + bytes(40), "a GGUF file", "get the weights that it was converted from"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "an HDF5 file, as Keras writes it", "read it by the library"),
        (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0", "an ONNX file", "get the checkpoint that it was exported from"),
        (b"\x08\x0a:\xb5\x02\x0a\x02", "an ONNX file", "get the checkpoint that it was exported from"),
        (b"\x08\x07\x00" + bytes(40), "a file of another kind", "download it again"),
        (b"GGML" + bytes(40), "a file of another kind", "download it again"),
    ],
)
def test_what_holds_no_tensors(head, got, mend):
    told = foreign(head[:512])
    assert told[0].startswith(got)
    assert told[1].startswith(mend)


def test_what_may_hold_tensors():
    for head in (b"PK\x03\x04" + bytes(9), b"\x80\x02}", (9).to_bytes(8, "little") + b'{"a":'):
        assert foreign(head) is None
    assert is_safetensors((9).to_bytes(8, "little") + b"{")
    assert not is_safetensors((1 << 41).to_bytes(8, "little") + b"{")
