"""A byte that is not as it was written: the same labels in the end, or one clear message, but never other labels."""

import random
import shutil

import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.results import Outputs
from histofactor.runs.segment_many import ManyOptions, segment_many
from histofactor.runs.source import Opening
from histofactor.segmentation.store import DiskStore

FLIPS = 20


class Killed(BaseException):
    """As sudden as a signal."""


def flip(folder, rng):
    """Change one byte of one file below a folder, every byte as likely as any other; returns what was changed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = [path.stat().st_size for path in files]
    path = rng.choices(files, sizes)[0]
    content = bytearray(path.read_bytes())
    at = rng.randrange(len(content))
    content[at] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(content))
    return path, at


def flip_in(path, rng):
    """Change one byte of a file."""
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= rng.randrange(1, 256)
    path.write_bytes(bytes(content))


def contents(folder):
    """All files below a folder but those that tell how long it took."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "status.json"
    }


@pytest.fixture(scope="module")
def setting(tiny_encoder, tiny_bank, tissue, tmp_path_factory):
    """How to run it, its undisturbed results, and an output folder where it was cut short after three bands."""
    root = tmp_path_factory.mktemp("damage")
    Image.fromarray(tissue).save(root / "tissue.png")
    options = ManyOptions(opening=Opening(source_mpp=1.0), outputs=Outputs(weights=True))

    def run(out):
        return segment_many([root / "tissue.png"], out, encoder=tiny_encoder, concepts=tiny_bank, options=options)[0]

    assert run(root / "whole").status == "done"
    put, count = DiskStore.put, []

    def put_and_die(store, band, state):
        if len(count) == 3:
            raise Killed
        count.append(band)
        put(store, band, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskStore, "put", put_and_die)
        with pytest.raises(Killed):
            run(root / "cut")
    return run, root


def damaged_and_resumed(setting, out, damage):
    run, root = setting
    shutil.copytree(root / "cut", out)
    damage(out / ".work")
    outcome = run(out)
    assert outcome.status == "done"
    assert contents(out / "tissue") == contents(root / "whole/tissue")
    assert not (out / ".work").exists()
    return outcome.notes


@pytest.mark.parametrize("pattern", ["band-*.zip", "state-*.npz", "work.json"])
def test_unfinished_work_that_is_damaged_is_told_and_made_anew(setting, tmp_path, pattern):
    rng = random.Random(0)
    damage = [lambda work: flip_in(min((work / "bands/tissue").glob(pattern)), rng)]
    damage.append(lambda work: min((work / "bands/tissue").glob(pattern)).write_bytes(b""))
    for number, one in enumerate(damage):
        (note,) = damaged_and_resumed(setting, tmp_path / str(number), one)
        assert "unfinished work of an earlier run is damaged" in note


def test_unfinished_work_that_is_whole_is_gone_on_with(setting, tmp_path):
    assert damaged_and_resumed(setting, tmp_path / "out", lambda work: None) == ()


@pytest.mark.slow
def test_any_byte_of_unfinished_work_may_be_damaged(setting, tmp_path):
    rng, told = random.Random(1), 0
    for number in range(FLIPS):
        told += len(damaged_and_resumed(setting, tmp_path / str(number), lambda work: flip(work, rng)))
    assert told >= FLIPS - 2  # white space of JSON says nothing


def message_of(folder, out):
    """What relabelling fails with, "" where it does not."""
    try:
        relabel(folder, out, Regrouping())
    except ImageError as error:
        return str(error)
    return ""


def test_damaged_weights_give_the_same_labels_or_a_message(setting, tmp_path):
    _, root = setting
    relabel(root / "whole/tissue", tmp_path / "same", Regrouping())
    expected = tifffile.imread(tmp_path / "same" / "labels.ome.tif")
    rng, refused = random.Random(2), 0
    folder = tmp_path / "copy"
    shutil.copytree(root / "whole/tissue", folder)
    files = sorted(path for path in (folder / "weights.zarr").rglob("*") if path.is_file())
    targets = [*files, folder / "segmentation.json", folder / "labels.ome.tif"] * 3
    for path in targets:
        content = path.read_bytes()
        flip_in(path, rng)
        message = message_of(folder, tmp_path / "new")
        if message:
            refused += 1
            assert "is not as it was written" in message
        else:
            assert (tifffile.imread(tmp_path / "new" / "labels.ome.tif") == expected).all()
        path.write_bytes(content)
    assert refused >= len(targets) - 3
    for path in files:
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(ImageError):
            relabel(folder, tmp_path / "new", Regrouping())
        path.write_bytes(content)
