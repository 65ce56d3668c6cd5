"""However inputs are shared out among processes, every one of them ends with the bytes of a run by one process."""

import subprocess
import sys

import pytest
from PIL import Image

from histofactor.slides.phantom import phantom
from histofactor.slides.phantom_slide import write_phantom_slide

IMAGES, SLIDES, SHARDS = 12, 3, 3
RUN = "import sys; from histofactor.cli.main import main; sys.argv[0] = 'histofactor'; main()"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    for seed in range(IMAGES):
        Image.fromarray(phantom((400 + 20 * seed, 400), seed=seed, mpp=1.0).image).save(folder / f"{seed}.png")
    for seed in range(SLIDES):
        write_phantom_slide(folder / f"slide-{seed}.tif", (3000, 3000 + 1000 * seed), seed=seed, mpp=1.0, block_px=512)
    return folder


def started(inputs, out, *more):
    command = [sys.executable, "-c", RUN, "segment", str(inputs), "-o", str(out), "--source-mpp", "1", "--fast", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(*processes):
    for process in processes:
        told, _ = process.communicate()
        assert process.returncode == 0, told


def results(out):
    """Bytes of what every input has, by its path; when it was made left out."""
    names = [path for path in sorted(out.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    assert len(names) == IMAGES + SLIDES
    files = (path for name in names for path in sorted(name.rglob("*")) if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files if path.name != "status.json"}


@pytest.mark.slow
def test_one_process_workers_and_shards_give_the_same_bytes(inputs, tmp_path):
    """Concepts are learned from the inputs by each of them."""
    ended(started(inputs, tmp_path / "one"))
    ended(started(inputs, tmp_path / "ray", "--engine", "ray", "--workers", "2"))
    ended(*(started(inputs, tmp_path / "shards", "--shard", f"{i + 1}/{SHARDS}") for i in range(SHARDS)))
    wanted, bank = results(tmp_path / "one"), "concepts.safetensors"
    for other in ("ray", "shards"):
        assert (tmp_path / other / bank).read_bytes() == (tmp_path / "one" / bank).read_bytes()
        found = results(tmp_path / other)
        assert found.keys() == wanted.keys()
        assert [name for name in wanted if found[name] != wanted[name]] == []
