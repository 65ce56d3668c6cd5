"""What a file is, told by what it begins with: weights, or what people take for them."""

from __future__ import annotations

import re

ENDINGS = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")  # of files of weights
GET_AGAIN = "download it again, or convert it to safetensors"
_FOREIGN = (
    (
        ("version https://git-lfs",),
        "a Git LFS pointer, which only names the file",
        "fetch the file itself: `git lfs pull`, or download it from its page",
    ),
    (
        ("<!doctype", "<html", "<head", "<?xml", "<!--"),
        "a web page, such as a site sends in place of a file that one has no access to",
        "log in, ask for access where the licence asks for it, and download the file again",
    ),
)
_BINARY = (
    (
        re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ\x00|7z\xbc\xaf\x27\x1c|\x28\xb5\x2f\xfd|Rar!|.{257}ustar", re.DOTALL),
        "a packed file",
        "unpack it, and give the file of weights that is in it",
    ),
    (
        re.compile(rb"\x89HDF\r\n\x1a\n"),
        "an HDF5 file, as Keras writes it",
        "read it by the library that wrote it, and save its tensors as safetensors under the names of the encoder",
    ),
    (
        re.compile(rb"GGUF"),
        "a GGUF file, whose numbers were made short for programs that run language models",
        "get the weights that it was converted from",
    ),
    (
        re.compile(rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]"),  # its version and its next field, as protobuf
        "an ONNX file, a network that was exported",
        "get the checkpoint that it was exported from: in an export tensors lose their names, and some are made one",
    ),
)


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins as safetensors: with the length of a header, and the header's brace."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 40


def foreign(head: bytes) -> tuple[str, str] | None:
    """What a file is that holds no tensors, and what to do about it; None for one that may.

    Args:
        head: its first 512 bytes.
    """
    if not head:
        return "an empty file", GET_AGAIN
    if head.startswith((b"PK\x03\x04", b"\x80")) or is_safetensors(head):
        return None
    for beginning, got, mend in _BINARY:
        if beginning.match(head):
            return got, mend
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    for beginnings, got, mend in _FOREIGN:
        if text.startswith(beginnings):
            return got, mend
    if all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "a text file", GET_AGAIN
    return "a file of another kind, or a damaged one", GET_AGAIN
