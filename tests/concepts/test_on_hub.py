"""Banks on a hub: one commit out, one file in, and a clear word where it is not to be."""

import hashlib
import logging

import pytest
from huggingface_hub import constants

from histofactor.concepts.bank.file import BankFile, bank_bytes
from histofactor.concepts.on_hub import BANK, CARD, PAGE, fetch, hub_address, repository_of, send
from histofactor.errors import BankError, EncoderError, OptionError, OutputError
from hub_server import blob
from small_banks import KEY, bank

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub of its client
FILES = {BANK: bank_bytes(BankFile({3: bank(3)})), CARD: b"---\nlicense: mit\n---\n# Concepts\n"}


@pytest.fixture(autouse=True)
def quiet_library():
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def push(files=FILES, *, public=False):
    return send("anna/bank", files, public=public, message="Concepts, K = 3")


def test_a_push_is_one_commit_of_a_private_repository(hub):
    sent = push()
    held = hub.repositories["anna/bank"]
    assert held["private"]
    assert [message for _, _, message in held["commits"]] == ["initial commit", "Concepts, K = 3"]
    assert {name: hub.files("anna/bank")[name] for name in FILES} == FILES
    assert (sent.commit, sent.changed, sent.private) == (held["commits"][-1][0], True, True)
    assert sent.address == f"{hub.address}/anna/bank"


def test_the_same_again_makes_no_commit(hub):
    first = push()
    again = push()
    assert not again.changed
    assert again.commit == first.commit
    assert len(hub.repositories["anna/bank"]["commits"]) == 2


def test_a_hub_that_does_not_know_xet(hub, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(OutputError, match="takes large files by Xet; got one that does not know it") as error:
        push()
    assert "set HF_HUB_DISABLE_XET=1" in error.value.mend
    assert "/anna/bank/settings" in error.value.mend
    assert BANK not in hub.files("anna/bank")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    assert push().changed


def test_public_where_it_is_asked_for(hub):
    assert not push(public=True).private
    assert not hub.repositories["anna/bank"]["private"]


def test_what_is_public_already_is_not_written_unasked(hub):
    hub.put("anna/bank", {"README.md": b"mine"}, private=False)
    with pytest.raises(OutputError, match="is public, and was there before") as error:
        push()
    assert "--public" in error.value.mend
    assert hub.files("anna/bank") == {"README.md": b"mine"}
    assert not [path for path in hub.asked("POST") if "upload" in path or "commit" in path]
    assert not push(public=True).private


def test_the_page_of_an_earlier_bank_goes(hub):
    push({**FILES, PAGE: b"<p>patches</p>"})
    assert hub.files("anna/bank")[PAGE] == b"<p>patches</p>"
    sent = push({**FILES, CARD: FILES[CARD] + b"more\n"})
    assert sent.removed == (PAGE,)
    assert PAGE not in hub.files("anna/bank")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("no token", ["a token of the hub", "hf auth login", "HF_TOKEN"]),
        ("wrong token", ["let in", "(401)", "hf auth login"]),
        ("not theirs", ["let in", "(403)"]),
        ("offline", ["HF_HUB_OFFLINE is set"]),
        ("nobody", ["no answer from http://127.0.0.1:9"]),
    ],
)
def test_a_push_that_cannot_be(hub, monkeypatch, trouble, words):
    if trouble == "no token":
        monkeypatch.delenv("HF_TOKEN")
    elif trouble == "wrong token":
        monkeypatch.setenv("HF_TOKEN", "hf_another")
    elif trouble == "not theirs":
        hub.read_only.add("anna")
    elif trouble == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OutputError, match="hf://anna/bank cannot be written") as error:
        push()
    for word in words:
        assert word in str(error.value)
    assert "hf_another" not in str(error.value)
    assert not hub.repositories


def test_fetched_as_it_was_sent(hub):
    commit = push().commit
    got = fetch("hf://anna/bank")
    assert got.path.read_bytes() == FILES[BANK]
    assert (got.commit, got.sha256) == (commit, hashlib.sha256(FILES[BANK]).hexdigest())
    assert bank_bytes(got.file) == FILES[BANK]


def test_the_newest_or_the_one_that_is_named(hub):
    first = push().commit
    fetch("hf://anna/bank")
    push({**FILES, BANK: bank_bytes(BankFile({5: bank(5)}))})
    assert list(fetch("hf://anna/bank").file.banks) == [5]
    assert list(fetch("hf://anna/bank", first).file.banks) == [3]


def test_offline_it_is_that_of_the_cache(hub, monkeypatch):
    commit = push().commit
    fetch("hf://anna/bank")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    assert fetch("hf://anna/bank").commit == commit
    with pytest.raises(BankError, match="HF_HUB_OFFLINE is set") as error:
        fetch("hf://anna/other")
    assert "not on this machine" in error.value.got
    assert not hub.requests


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("absent", ["none of that name", "hf auth login"]),
        ("private", ["may not see", "hf auth login"]),
        ("gated", ["a gated repository", "ask for access", "hf auth login"]),
        ("no revision", ["a revision that it has", "'v9'"]),
        ("no bank", ["concepts.safetensors in it"]),
        ("nobody", ["no answer from http://127.0.0.1:9"]),
    ],
)
def test_a_bank_that_cannot_be_had(hub, monkeypatch, trouble, words):
    if trouble != "absent":
        hub.put("anna/bank", {"other": b"x"} if trouble == "no bank" else FILES, private=trouble == "private")
    if trouble in {"absent", "private"}:
        monkeypatch.delenv("HF_TOKEN")
    if trouble == "gated":
        hub.gated.add("anna/bank")
    if trouble == "nobody":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BankError, match="hf://anna/bank cannot be fetched") as error:
        fetch("hf://anna/bank", "v9" if trouble == "no revision" else None)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_too_large_is_not_fetched(hub):
    hub.put("anna/bank", FILES)
    hub.said_size = 2**28
    with pytest.raises(BankError, match="268,435,456 bytes"):
        fetch("hf://anna/bank")
    assert not hub.asked("GET")


def test_another_file_than_was_told(hub):
    hub.put("anna/bank", FILES)
    hub.spoil = True
    with pytest.raises(BankError, match="not the file that the hub told of"):
        fetch("hf://anna/bank")


def test_another_file_than_was_told_is_taken_out_of_the_cache(hub, monkeypatch):
    hub.put("anna/bank", FILES)
    hub.spoil = True
    with pytest.raises(BankError, match="not the file that the hub told of"):
        fetch("hf://anna/bank")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BankError, match="HF_HUB_OFFLINE is set"):
        fetch("hf://anna/bank")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.spoil = False
    assert fetch("hf://anna/bank").path.read_bytes() == FILES[BANK]


def test_a_file_that_was_spoiled_in_the_cache(hub, monkeypatch):
    hub.put("anna/bank", FILES)
    path = fetch("hf://anna/bank").path
    path.resolve().write_bytes(bank_bytes(BankFile({5: bank(5)})))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BankError, match="not the file that the hub told of"):
        fetch("hf://anna/bank")


@pytest.mark.parametrize("name", ["timm:x; touch /tmp/x #", "timm:/etc", "transformers:evil/../../x --remote-code"])
def test_a_bank_for_an_encoder_that_is_known_nowhere_else(hub, name):
    hub.put("anna/bank", {BANK: bank_bytes(BankFile({3: bank(3, encoder=type(KEY)(name, None, "l", "relu"))}))})
    with pytest.raises(EncoderError, match="known nowhere else"):
        fetch("hf://anna/bank")


def test_a_password_in_the_address_of_a_mirror_is_not_told(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://bob:pa55word@127.0.0.1:9")
    assert hub_address() == "http://***@127.0.0.1:9"
    with pytest.raises(BankError) as error:
        fetch("hf://anna/bank")
    assert "pa55word" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"\x80\x04K\x01.", BankError, "a pickle"),
        (b"<html>", BankError, "a text file"),
        (
            bank_bytes(BankFile({3: bank(3, encoder=type(KEY)("unii", None, "l", "relu"))})),
            EncoderError,
            "unknown encoder",
        ),
    ],
)
def test_what_is_no_bank_is_not_taken_for_one(hub, content, kind, words):
    hub.put("anna/bank", {BANK: content})
    with pytest.raises(kind, match=words):
        fetch("hf://anna/bank")


def test_addresses():
    assert repository_of("hf://anna/my-bank.v2/") == "anna/my-bank.v2"
    for address in (
        "anna/bank",
        "hf://anna",
        "hf://anna/bank/x",
        "hf://../bank",
        "hf://a/b..c",
        "hf:///x",
        "hf://a/b\n",
    ):
        with pytest.raises(OptionError, match="no address"):
            repository_of(address)
    for revision in ("../main", "-x", "", "a b"):
        with pytest.raises(OptionError, match="no revision"):
            fetch("hf://anna/bank", revision)


def test_the_server_of_these_tests_names_files_as_git_does():
    assert blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("step", ["/preupload/", "/lfs/objects/batch", "/commit/"])
def test_a_push_that_fails_once_the_repository_is_made(hub, step, public):
    hub.refused = step
    with pytest.raises(OutputError, match="hf://anna/bank cannot be written") as error:
        push(public=public)
    seen = "public" if public else "private"
    assert f"the {seen} repository that was made for it stays, empty for all that is known" in error.value.what
    assert error.value.mend.endswith(f"push again, or delete the repository at {hub.address}/anna/bank/settings")
    assert "(403)" in error.value.got
    assert BANK not in hub.files("anna/bank")  # and nothing was deleted from here
    with pytest.raises(OutputError) as error:
        push(public=public)  # it was there before that
    assert "stays" not in error.value.what
    hub.refused = ""
    assert push(public=public).changed
