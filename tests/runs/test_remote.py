"""Inputs on stores: the same results as of files, no secret anywhere, nothing left in the cache."""

import json
import subprocess
import sys
import time

import fsspec
import pytest
import tifffile

from histofactor.base.clock import Clock
from histofactor.errors import ImageError, OptionError, OutputError
from histofactor.records.urls import Url, as_input
from histofactor.runs.features import write_many_features
from histofactor.runs.ledger import inputs_of
from histofactor.runs.outcome import Observer, Reporter
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.request import ManyOptions
from histofactor.runs.results import Outputs
from histofactor.runs.source import Opening, file_sources, is_there, settled
from histofactor.runs.table import read_table
from histofactor.segmentation.setup import SegmentOptions
from histofactor.slides.inputs import PassedOver, find_inputs, group_inputs
from histofactor.slides.phantom import phantom
from histofactor.slides.remote import ranged_tiff, ranges, transfer
from histofactor.slides.remote.cache import cache_of
from store_server import SECRET, serve, serve_s3

TILED = {"photometric": "rgb", "tile": (128, 128)}
NAMED = ("status.json", "segmentation.json", ".preview.json")  # of a result: what names the input


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    monkeypatch.setattr(transfer, "FIRST_WAIT_S", 0.001)


@pytest.fixture
def store():
    with serve() as (made, address):
        made.address = address
        yield made


@pytest.fixture
def opening(tmp_path):
    made = Opening(source_mpp=1.0, cache=str(tmp_path / "cache"), cache_gb=0.01)
    yield made
    cache_of(made.cache, made.cache_gb).close()
    assert list((tmp_path / "cache").rglob("*")) == []


@pytest.fixture
def slides(tmp_path):
    """Two slides on disk."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, seed in (("a b.tif", 1), ("c.tif", 2)):
        image = phantom((600, 400), seed=seed, mpp=1.0).image
        tifffile.imwrite(folder / name, image, resolution=(1e4, 1e4), resolutionunit=3, **TILED)
    return sorted(folder.iterdir())


def put(store, slides, folder=""):
    for path in slides:
        store.files[f"{folder}/{path.name}"] = path.read_bytes()
    return [f"{store.address}{folder}/{path.name.replace(' ', '%20')}" for path in slides]


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("by_range", [False, True])
def test_results_are_those_of_the_file_but_for_its_name(segmented, slides, store, opening, monkeypatch, by_range):
    tmp_path = slides[0].parent.parent
    local, remote = tmp_path / "local", tmp_path / "remote"
    if by_range:
        monkeypatch.setattr(ranged_tiff, "SMALL", 0)
        monkeypatch.setattr(ranges, "BLOCK", 2**14)
        for path in slides:
            tifffile.imwrite(path, tifffile.imread(path)[::2, ::2], append=True, subfiletype=1, **TILED)
    segmented(slides, local, opening=opening)
    outcomes = segmented(put(store, slides), remote, opening=opening)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert any(asked is not None for *_, asked in store.requests)
    assert (store.fetches("/c.tif") > 1) == by_range
    ours, theirs = files_in(local), files_in(remote)
    results = {name for name in ours if name.split("/")[0] in {"a b", "c"}}
    assert {name for name in theirs if name.split("/")[0] in {"a b", "c"}} == results
    different = {name for name in results if ours[name].read_bytes() != theirs[name].read_bytes()}
    assert {name.split("/")[1] for name in different} == set(NAMED)
    sealed, before = (json.loads(files["c/segmentation.json"].read_text()) for files in (theirs, ours))
    assert sealed["made_by"]["path"] == f"{store.address}/c.tif"
    for one in (sealed, before):
        for name in ("recipe_sha256", "sha256", "digest"):
            one.pop(name, None)
        del one["made_by"]["path"], one["made_by"]["content"]
    assert sealed == before


def test_the_next_input_is_fetched_while_one_is_worked(segmented, slides, store, opening, tmp_path):
    fetched = []

    def on_window(done, total):
        end = time.monotonic() + 10
        while not fetched and store.fetches("/c.tif") == 0 and time.monotonic() < end:
            time.sleep(0.01)
        fetched.append((store.fetches("/a b.tif"), store.fetches("/c.tif")))

    reporter = Reporter(on_window=on_window)
    observer = Observer(reporter, Clock())
    segmented(put(store, slides), tmp_path / "out", opening=opening, observer=observer)
    assert fetched[0] == (1, 1)
    assert fetched[-1] == (1, 1)  # once is enough


def test_what_is_finished_is_not_fetched_ahead(segmented, slides, store, opening, tmp_path):
    urls = put(store, slides)
    segmented(urls[1:], tmp_path / "out", opening=opening)
    store.requests.clear()
    segmented(urls, tmp_path / "out", opening=opening)
    assert (store.fetches("/a b.tif"), store.fetches("/c.tif")) == (1, 0)


def test_a_finished_input_is_not_fetched_again(segmented, slides, store, opening, tmp_path):
    urls = put(store, slides)
    segmented(urls, tmp_path / "out", opening=opening)
    assert store.fetches("/c.tif") >= 1
    store.requests.clear()
    outcomes = segmented(urls, tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["kept", "kept"]
    assert {method for method, *_ in store.requests} == {"HEAD"}
    store.files["/c.tif"] = slides[0].read_bytes()
    outcomes = segmented(urls, tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["kept", "done"]


def test_without_versions_the_content_itself_tells(segmented, slides, store, opening, tmp_path):
    store.versions, store.status["/index"] = False, 404
    urls = put(store, slides)
    segmented(urls, tmp_path / "out", opening=opening)
    assert [one.status for one in segmented(urls, tmp_path / "out", opening=opening)] == ["kept", "kept"]
    store.files["/c.tif"] = bytes(len(store.files["/c.tif"]))  # of the same length
    outcomes = segmented(urls, tmp_path / "out", opening=opening)
    assert [one.status for one in outcomes] == ["kept", "failed"]


def test_no_secret_is_written_down_or_told(segmented, slides, store, opening, tmp_path, monkeypatch):
    urls = [
        f"{url.replace('//', f'//me:{SECRET}@')}?file={number}&X-Amz-Signature={SECRET}"
        for number, url in enumerate([*put(store, slides), f"{store.address}/missing.tif", f"{store.address}/no.tif"])
    ]
    store.files["/no.tif"] = b"no image"
    outcomes = segmented(urls, tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["done", "done", "failed", "failed"]
    assert "missing.tif?file=2&X-Amz-Signature=*** does not exist" in outcomes[2].error
    assert str(tmp_path / "cache") not in outcomes[3].error
    assert "no.tif?file=3&X-Amz-Signature=***" in outcomes[3].error
    for outcome in outcomes:
        assert SECRET not in str(outcome)
    for name, path in files_in(tmp_path / "out").items():
        assert SECRET.encode() not in path.read_bytes(), name
        assert str(tmp_path / "cache").encode() not in path.read_bytes(), name


def test_an_input_signed_anew_is_the_same(segmented, slides, store, opening, tmp_path):
    (url, _) = put(store, slides)
    segmented([f"{url}?sig=one-signature"], tmp_path / "out", opening=opening)
    (outcome,) = segmented([f"{url}?sig=another-one"], tmp_path / "out", opening=opening)
    assert outcome.status == "kept"


def test_others_finish_whatever_becomes_of_one(segmented, slides, store, opening, tmp_path):
    good, other = put(store, slides)
    store.status["/denied.tif"] = 403
    store.files["/large.tif"], store.files["/page.tif"] = bytes(20_000_000), b"<html>sign in"
    bad = ["/denied.tif", "/large.tif", "/page.tif", "/missing.tif"]
    urls = [*(store.address + name for name in bad), "http://127.0.0.1:9/x.tif", good, other]
    outcomes = segmented(urls, tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["failed"] * 5 + ["done"] * 2
    told = ("may not be read", "larger than the cache", "is a web page", "does not exist", "cannot be reached")
    for outcome, words in zip(outcomes, told, strict=False):
        assert words in outcome.error
        assert outcome.traceback == ""


def test_concepts_are_those_of_the_files(slides, store, opening, tmp_path, tiny_encoder):
    from histofactor.runs.learn_concepts import learn_concepts
    from histofactor.runs.sample_builder import LearnOptions

    options = LearnOptions(opening=opening)
    local, remote = (
        learn_concepts(file_sources(inputs, opening=opening), [4], encoder=tiny_encoder, options=options)
        for inputs in (slides, put(store, slides))
    )
    assert (local.banks[0].vectors == remote.banks[0].vectors).all()
    assert local.card["slides"] == remote.card["slides"]


def test_features_are_those_of_the_files(slides, store, opening, tmp_path, tiny_encoder):
    import zarr

    options = ManyOptions(opening=opening, segment=SegmentOptions())
    for inputs, out in ((slides, tmp_path / "local"), (put(store, slides), tmp_path / "remote")):
        outcomes = write_many_features(inputs, out, encoder=tiny_encoder, options=options)
        assert [outcome.status for outcome in outcomes] == ["done", "done"]
    local, remote = (zarr.open_group(tmp_path / one / "c.features.zarr", mode="r") for one in ("local", "remote"))
    assert (local["tokens"][:] == remote["tokens"][:]).all()
    (one, two) = write_many_features(put(store, slides), tmp_path / "remote", encoder=tiny_encoder, options=options)
    assert (one.status, two.status) == ("kept", "kept")


def test_estimates_count_what_the_files_hold(slides, store, opening, tiny_encoder, tiny_bank):
    from histofactor.runs.estimate import estimate
    from histofactor.runs.task import Request

    request = Request(encoder=tiny_encoder, concepts=tiny_bank)
    options = ManyOptions(opening=opening)
    local, remote = (
        estimate(inputs, request, options, Reporter())
        for inputs in (slides, [*put(store, slides), f"{store.address}/missing.tif"])
    )
    assert [one.windows for one in local.inputs] == [one.windows for one in remote.inputs[:2]]
    assert local.inputs[0].windows > 0
    assert "does not exist" in remote.inputs[2].error


def test_a_table_may_name_urls(slides, store, opening, tmp_path):
    first, second = put(store, slides)
    table = tmp_path / "slides.csv"
    table.write_text(f"path,mpp,group\n{first}?sig={SECRET},0.5,A\n{second},0.25,B\n")
    known = read_table(table)
    assert [(str(path), one.mpp, one.group) for path, one in known.items()] == [
        (f"{first}?sig=***", 0.5, "A"),
        (second, 0.25, "B"),
    ]
    assert next(iter(known)).address == f"{first}?sig={SECRET}"
    (one,) = read_table(table, [as_input(second)]).values()
    assert one.group == "B"
    with pytest.raises(OptionError, match=r"names such as .*sig=\*\*\*") as caught:
        read_table(table, [as_input("elsewhere.tif")])
    assert SECRET not in str(caught.value)
    table.write_text(f"path,mpp\n{first}?sig={SECRET},0.5\n{first}?sig=another{SECRET},0.5\n")
    with pytest.raises(OptionError, match=r"sig=\*\*\* is there again") as caught:
        read_table(table)
    assert SECRET not in str(caught.value)


def test_folders_and_globs_of_a_server_are_listed(segmented, slides, store, opening, tmp_path):
    put(store, slides, "/lab")
    put(store, slides[:1], "/lab/below")
    segmented(slides[:1], tmp_path / "out", opening=opening)
    for name, path in files_in(tmp_path / "out").items():
        store.files[f"/lab/out/{name}"] = path.read_bytes()
    store.files |= {"/lab/.hidden.tif": b"x", "/lab/notes.txt": b"x", "/elsewhere.tif": b"x"}
    passed = PassedOver()
    found = list(group_inputs([f"{store.address}/lab/"], passed))
    at = f"{store.address}/lab"
    assert list(map(str, found)) == [f"{at}/a%20b.tif", f"{at}/below/a%20b.tif", f"{at}/c.tif"]
    assert all(url.files for url in found)
    assert "of histofactor's own results (labels.ome.tif, overlay.png" in passed.note()
    assert "hidden (.hidden.tif" in passed.note()
    assert list(map(str, find_inputs([f"{store.address}/lab/*.tif"]))) == [f"{at}/a%20b.tif", f"{at}/c.tif"]
    with pytest.raises(ImageError, match=r"no image in the folder .*/lab/out/"):
        find_inputs([f"{store.address}/lab/out/"])
    store.listings = False
    with pytest.raises(ImageError, match="does not exist"):
        find_inputs([f"{store.address}/lab/"])


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def test_any_store_of_fsspec_will_do(segmented, slides, memory, opening, tmp_path):
    for path in slides:
        memory.pipe_file(f"/lab/{path.name}", path.read_bytes())
    (found, other) = find_inputs(["memory://lab/"])
    assert (str(found), found.files[0].size) == ("memory:///lab/a b.tif", slides[0].stat().st_size)
    outcomes = segmented([found, "memory://lab/c.tif"], tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert (other.name, other) == ("c.tif", as_input("memory:///lab/c.tif"))


def test_slides_of_many_files_are_fetched_whole(memory, opening):
    memory.pipe({"/x/s.mrxs": b"index", "/x/s/Slidedat.ini": b"ini", "/x/s/deep/Data0000.dat": b"data",
                 "/x/s/notes.tif": b"part", "/x/other.tif": b"o"})  # fmt: skip
    found = find_inputs(["memory://x/"])
    assert [one.name for one in found] == ["other.tif", "s.mrxs"]
    with opening.local(found[1]) as path:
        assert path.name == "s.mrxs"
        assert (path.parent / "s/Slidedat.ini").read_bytes() == b"ini"
        assert (path.parent / "s/deep/Data0000.dat").read_bytes() == b"data"
    content = opening.content(found[1])
    memory.pipe_file("/x/s/deep/Data0000.dat", b"DATA")
    assert opening.content(settled(["memory://x/s.mrxs"])[0]) != content


def test_parts_of_an_index_belong_to_it(memory, opening):
    head = "[Virtual Microscope Specimen]\nImageFile=i.jpg\nMapFile=map.jpg\n"
    memory.pipe({"/x/s.vms": head.encode(), "/x/i.jpg": b"i", "/x/map.jpg": b"m", "/x/own.jpg": b"o"})
    assert [one.name for one in find_inputs(["memory://x/"])] == ["s.vms", "own.jpg"]
    (slide,) = settled(["memory://x/s.vms"])
    with opening.local(slide) as path:
        assert sorted(one.name for one in path.parent.iterdir()) == ["i.jpg", "map.jpg", "s.vms"]


def test_a_name_that_leads_elsewhere_is_refused(memory, opening):
    memory.store["/x/s.mrxs"] = memory.store["/x/s/../../e.dat"] = None
    memory.store.clear()
    from histofactor.slides.remote.store import safe_name

    for name in ("../e", "a/../../e", "/etc/x", "a\x00b", "", "a\\b", "x" * 300):
        with pytest.raises(ImageError, match="name that cannot be used"):
            safe_name(name, Url("s3://b/x.mrxs"))


@pytest.fixture
def s3(monkeypatch, tmp_path):
    """Buckets on loopback."""
    with serve_s3(monkeypatch, tmp_path / "none") as made:
        yield made


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_bucket_is_listed_once_and_its_slides_segmented(segmented, slides, s3, opening, tmp_path):
    for path in slides:
        s3.files[f"/bucket/lab/{path.name}"] = path.read_bytes()
    s3.files["/bucket/lab/deep//c.tif"] = slides[1].read_bytes()  # two slashes are a name like others
    found = find_inputs(["s3://bucket/lab/"])
    assert list(map(str, found)) == ["s3://bucket/lab/a b.tif", "s3://bucket/lab/c.tif", "s3://bucket/lab/deep//c.tif"]
    assert len(s3.requests) == 1
    outcomes = segmented([*found[:2], "s3://bucket/lab/missing.tif"], tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["done", "done", "failed"]
    assert "s3://bucket/lab/missing.tif does not exist" in outcomes[2].error
    s3.status["/bucket/denied.tif"] = 403
    (outcome,) = segmented(["s3://bucket/denied.tif"], tmp_path / "out", opening=opening)
    assert "may not be read" in outcome.error
    assert "FSSPEC_S3_ANON" in outcome.error
    s3.requests.clear()
    outcomes = segmented(found[:2], tmp_path / "out", opening=opening)
    assert [outcome.status for outcome in outcomes] == ["kept", "kept"]
    assert s3.requests == []  # the list told that they have not changed


@pytest.mark.parametrize("scheme", ["s3", "gs", "https"])
def test_what_is_missing_is_named(monkeypatch, scheme):
    import builtins

    imported = builtins.__import__

    def without(name, *rest, **how):
        if name.split(".")[0] in {"s3fs", "gcsfs", "aiohttp"}:
            raise ImportError(name)
        return imported(name, *rest, **how)

    from fsspec.registry import _registry

    for name in ("s3", "gs", "https", "http"):
        monkeypatch.delitem(_registry, name, raising=False)
    for name in [name for name in __import__("sys").modules if name.split(".")[0] in {"s3fs", "gcsfs", "aiohttp"}]:
        monkeypatch.delitem(__import__("sys").modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match=r"parts are missing; pip install 'histofactor\[cloud\]'"):
        find_inputs([f"{scheme}://bucket/a.tif"])


@pytest.mark.parametrize("address", ["nosuch://x/a.tif", "zip::http://h/a.tif", "simplecache::s3://b/a.tif"])
def test_stores_that_nothing_reads_are_told(address):
    with pytest.raises(OptionError, match="cannot be read; expected s3://"):
        find_inputs([address])


def test_results_go_to_a_folder(segmented, slides, tmp_path, opening, tiny_encoder):
    with pytest.raises(OutputError, match="results cannot be written to s3://bucket/out"):
        segmented(slides, "s3://bucket/out", opening=opening)
    with pytest.raises(OutputError, match="results cannot be written to s3://bucket/out"):
        write_many_features(slides, "s3://bucket/out", encoder=tiny_encoder, options=ManyOptions())


def test_inputs_of_earlier_runs_are_known_by_their_urls(slides, store, opening, tmp_path, segmented):
    out, (open_url, other) = tmp_path / "out", put(store, slides)
    segmented([open_url, f"{other}?sig={SECRET}"], out, opening=opening)
    first, second = inputs_of(out)
    assert (is_there(first), is_there(second)) == (True, False)
    assert opening.content(first) == opening.content(as_input(open_url))
    with pytest.raises(ImageError, match="cannot be asked for; expected the address with its secrets"):
        opening.content(second)


def test_weights_are_relabelled_with_the_picture_from_the_store(slides, store, opening, tmp_path, segmented, tiny_bank):
    out, (_, url) = tmp_path / "out", put(store, slides)
    segmented([url], out, opening=opening, outputs=Outputs(weights=True))
    notes = relabel(out / "c", tmp_path / "merged", Regrouping(renames={1: "stroma"}))
    assert notes == []
    assert (tmp_path / "merged/overlay.png").exists()
    store.status["/c.tif"] = 404
    (note,) = relabel(out / "c", tmp_path / "again", Regrouping(renames={1: "stroma"}))
    assert f"{url} does not exist" in note


def test_files_need_nothing_of_stores():
    """What reads stores is not loaded where no URL is named."""
    code = (
        "import sys, histofactor.cli.segment, histofactor.runs.segment_many, histofactor.runs.features\n"
        "print('loaded:', {'s3fs', 'gcsfs', 'aiohttp', 'botocore'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "loaded: set()" in run.stdout
