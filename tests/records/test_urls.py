"""URLs: what is told of them holds no secret, tells inputs apart, and is never a path."""

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histofactor.errors import OutputError
from histofactor.records.urls import Url, as_input, check_here, is_url, told, was_url

SIGNED = (
    "https://bob:hunter22@host.org/a/slide%201.svs?id=7&X-Amz-Signature=0123456789abcdef&X-Amz-Credential=AKIAEXAMPLE"
    "&sig=shhh%2Fshhh&key=objects/1&token=tok"
)
SECRETS = ("bob", "hunter22", "0123456789abcdef", "AKIAEXAMPLE", "shhh", "objects/1", "=tok")


def test_secrets_are_struck_out_and_inputs_told_apart():
    url = as_input(SIGNED)
    assert isinstance(url, Url)
    for text in (str(url), repr(url), f"{url}", url.parent, "".join(url.parts)):
        assert not any(secret in text for secret in SECRETS), text
    assert str(url).startswith("https://***@host.org/a/slide%201.svs?id=7&X-Amz-Signature=***&X-Amz-Credential=***")
    assert (url.name, url.stem, url.suffix) == ("slide 1.svs", "slide 1", ".svs")
    assert url == Url(SIGNED.replace("0123456789abcdef", "fedcba"))  # signed anew, it is the same input
    assert url != Url(SIGNED.replace("id=7", "id=8"))
    assert url != Url(SIGNED.replace("objects/1", "objects/2"))
    assert url.address == SIGNED


def test_what_was_told_is_told_again_and_not_asked_for():
    url = Url(SIGNED)
    assert told(str(url)) == str(url)
    assert url.is_whole
    assert not Url(str(url)).is_whole
    assert Url("s3://bucket/a.tif").is_whole


VALUE = st.text("abcXYZ0189-_.~/%", max_size=40)
NAME = st.sampled_from(["id", "sig", "key", "X-Goog-Signature", "se", "file", "versionId", "token"])


@given(st.lists(st.tuples(NAME, VALUE), max_size=4), st.booleans())
def test_telling_twice_is_telling_once(parameters, user):
    query = "&".join(f"{name}={value}" for name, value in parameters)
    text = f"https://{'me:pw@' if user else ''}h/x.tif" + (f"?{query}" if query else "")
    assert told(told(text)) == told(text)
    assert "me:pw" not in told(text)
    for name, value in parameters:
        if name in {"sig", "X-Goog-Signature", "token", "se"} and len(value) > 3:
            assert f"{name}={value}" not in told(text)


def test_messages_of_others_are_scrubbed():
    url = Url(SIGNED)
    text = f"403 for {SIGNED} by shhh/shhh, shhh%2Fshhh and bob:hunter22@host.org at https://x:y@other/"
    assert not any(secret in url.scrub(text) for secret in (*SECRETS[:5], "x:y"))


@pytest.mark.parametrize("text", ["s3://b/a//b.tif", "gs://b/x", "memory://a.tif", "http://h/a.tif?x=1", "zip::s3://x"])
def test_urls_are_no_paths(text):
    assert is_url(text)
    url = as_input(text)
    assert isinstance(url, Url)
    assert url.address == text
    with pytest.raises(TypeError):
        Path(url)


@pytest.mark.parametrize("text", ["a.tif", "/a/b.tif", "C:\\slides\\a.tif", "C://a", "a:b", "s3:/b", ""])
def test_paths_are_no_urls(text):
    assert not is_url(text)
    assert as_input(text) == Path(text)


def test_files_are_paths(tmp_path):
    assert as_input((tmp_path / "a b.tif").as_uri()) == tmp_path / "a b.tif"


def test_they_travel():
    url = pickle.loads(pickle.dumps(Url(SIGNED, (), "case 1")))
    assert (url.address, url.called, url) == (SIGNED, "case 1", Url(SIGNED))


@pytest.mark.parametrize("out", ["s3://b/out", "https://me:pw@h/out", Path("gs://b/out")])
def test_results_go_to_no_store(out):
    with pytest.raises(OutputError, match=r"cannot be written to \w+://.*cannot be put in place in one step") as caught:
        check_here(out)
    assert "me:pw" not in str(caught.value)
    check_here("out")
    check_here(Path("/tmp/x:/y"))


def test_a_path_made_of_a_url_is_known_unless_such_a_folder_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert was_url(Path("s3://b/x"))
    (tmp_path / "s3:").mkdir()
    assert not was_url(Path("s3://b/x"))
    assert not was_url(Path("out/s3:/b"))
