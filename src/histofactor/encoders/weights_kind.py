"""What a file is, told by what it begins with: weights, or what people take for them."""

from __future__ import annotations

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
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"Rar!")
_TAR, _TAR_AT = b"ustar", 257


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
    if head.startswith(_PACKED) or head[_TAR_AT:].startswith(_TAR):
        return "a packed file", "unpack it, and give the file of weights that is in it"
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n").lower()
    for beginnings, got, mend in _FOREIGN:
        if text.startswith(beginnings):
            return got, mend
    if all(byte >= 0x20 or byte in b"\t\r\n" for byte in head):
        return "a text file", GET_AGAIN
    return "a file of another kind, or a damaged one", GET_AGAIN
