import json

import pytest

from histofactor.base.digests import DamagedError, check_digest, path_digest, read_digested, write_digested


def test_the_digest_is_that_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example of "abc"
    assert path_digest(tmp_path / "a") == known
    check_digest(tmp_path / "a", known)
    (tmp_path / "a").write_bytes(b"abd")
    with pytest.raises(DamagedError, match="a is not as it was written"):
        check_digest(tmp_path / "a", known)
    with pytest.raises(DamagedError, match="b cannot be read"):
        check_digest(tmp_path / "b", known)


def test_the_digest_of_a_folder_is_that_of_all_its_files(tmp_path):
    seen = set()
    for name, text in (("a/b", "1"), ("a/b", "2"), ("a/c", "2"), ("c", "2"), ("a/d/e", "")):
        (tmp_path / "w" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "w" / name).write_text(text)
        seen.add(path_digest(tmp_path / "w"))
    assert len(seen) == 5
    digest = path_digest(tmp_path / "w")
    (tmp_path / "w").rename(tmp_path / "v")
    check_digest(tmp_path / "v", digest)
    (tmp_path / "v/c").unlink()
    with pytest.raises(DamagedError, match="v is not as it was written"):
        check_digest(tmp_path / "v", digest)


def test_what_is_written_with_its_digest_comes_back(tmp_path):
    content = {"b": [1.5, None], "a": {"10": "µm \udcff", "9": float("inf")}}
    write_digested(content | {"a": {10: "µm \udcff", 9: float("inf")}}, tmp_path / "x.json")
    assert read_digested(tmp_path / "x.json") == content
    layout = json.dumps(json.loads((tmp_path / "x.json").read_text(encoding="utf-8")), indent=4, sort_keys=True)
    (tmp_path / "x.json").write_text(layout)
    assert read_digested(tmp_path / "x.json") == content


def test_a_word_that_was_changed_is_seen(tmp_path):
    write_digested({"limit": 0.5}, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text()
    for other in (text.replace("0.5", "0.6"), text.replace("limit", "limiu"), text.replace('"sha256"', '"sha257"')):
        (tmp_path / "x.json").write_text(other)
        with pytest.raises(DamagedError, match=r"x\.json is not as it was written"):
            read_digested(tmp_path / "x.json")
