"""The page: labels do not depend on how windows fall, frames are kept, records are whole."""

import json
from dataclasses import replace

import numpy as np
import pytest

from histofactor.concepts.bank.record import new_bank
from histofactor.encoders.build import Inference
from histofactor.errors import OptionError, ResolutionError
from histofactor.masks.borders import REACH, followed
from histofactor.masks.small import merge_small
from histofactor.records import Leaves
from histofactor.segmentation import encoding, page
from histofactor.segmentation.method import METHODS
from histofactor.segmentation.page import segment, segment_slide
from histofactor.segmentation.setup import SegmentOptions, prepare
from histofactor.segmentation.store import MemoryStore
from histofactor.slides.reader import open_slide
from histofactor.slides.warnings import is_warning


@pytest.fixture
def run(tiny_encoder, tiny_bank):
    def segment_with(image, **arguments):
        bank = None if arguments.get("method") == "single" else tiny_bank
        arguments = {"encoder": tiny_encoder, "concepts": bank, "source_mpp": 1.0} | arguments
        return segment(image, **arguments)

    return segment_with


def test_records_are_whole(run, tissue):
    result = run(tissue)
    labels = result.label_map.labels
    assert labels.shape == tissue.shape[:2]
    assert labels.dtype == np.uint8
    assert result.margin.shape == labels.shape
    assert ((result.margin >= 0) & (result.margin <= 1)).all()
    assert result.weights.values.shape == (75, 100, 6)  # half patches of 8 px
    assert result.weights.residual.shape == (75, 100)
    assert result.label_map.mpp == 1.0
    assert len(result.label_map.names) == len(result.label_map.colors) == 6
    assert set(np.unique(labels)) <= set(range(7))
    assert len(np.unique(labels)) > 2
    assert json.loads(json.dumps(result.recipe)) == result.recipe


def test_what_was_assumed_of_the_weights_is_told(run, tiny_encoder, tissue):
    told = "the names of the weights begin with 'module.', which was taken off"
    result = run(tissue, encoder=replace(tiny_encoder, notes=(told,)))
    assert told in result.slide.notes
    assert told not in run(tissue).slide.notes


def test_cluster_with_one_concept_labels_all_tissue(run, tiny_bank, tissue):
    one = new_bank(tiny_bank.vectors[:1], tiny_bank.encoder, mpp=1.0)
    found = run(tissue, concepts=one, method="cluster").label_map.labels
    expected = run(tissue, method="cluster").label_map.labels
    assert set(np.unique(found)) == {0, 1}
    np.testing.assert_array_equal(found > 0, expected > 0)


def test_the_input_is_not_changed(run, tissue):
    before = tissue.copy()
    run(tissue)
    np.testing.assert_array_equal(tissue, before)


@pytest.mark.parametrize("method", ["project", "cluster"])
def test_windows_leave_no_trace(run, tissue, method):
    everything = SegmentOptions(tissue=False)
    plain = run(tissue, method=method, options=everything)
    for shift_px in (8, 40, 64):
        shifted = run(tissue, method=method, options=SegmentOptions(tissue=False, shift_px=shift_px))
        np.testing.assert_allclose(shifted.weights.values, plain.weights.values, atol=1e-4)
        assert (shifted.label_map.labels != plain.label_map.labels).mean() < 1e-3


def test_working_at_another_resolution(run, tissue):
    result = run(tissue, source_mpp=0.5)
    assert result.label_map.labels.shape == (150, 200)
    assert result.label_map.mpp == pytest.approx(1.0)
    assert result.l0_per_px == (2.0, 2.0)
    coarser = run(tissue, source_mpp=0.5, mpp=2.0)
    assert coarser.label_map.labels.shape == (75, 100)


def test_a_coarse_input_is_worked_as_it_is_and_says_so(run, tissue):
    result = run(tissue, source_mpp=2.0)
    assert result.label_map.labels.shape == tissue.shape[:2]
    assert result.label_map.mpp == 2.0
    assert any("coarser" in note for note in result.slide.notes)


def test_unknown_resolution(run, tissue):
    result = run(tissue, source_mpp=None)
    assert result.label_map.mpp is None
    assert any("own pixel size" in note for note in result.slide.notes)
    with pytest.raises(ResolutionError, match="--source-mpp"):
        run(tissue, source_mpp=None, mpp=1.0)


def test_no_tissue_is_an_empty_map(run):
    blank = np.full((120, 160, 3), 245, np.uint8)
    for method in METHODS:
        result = run(blank, method=method)
        assert (result.label_map.labels == 0).all()
        assert (result.margin == 0).all()


def test_off_tissue_is_label_0(run, tissue):
    half = tissue.copy()
    half[:, 200:] = 245
    labels = run(half).label_map.labels
    assert (labels[:, 230:] == 0).all()
    assert (labels[:, :190] > 0).mean() > 0.5
    everything = run(half, options=SegmentOptions(tissue=False)).label_map.labels
    assert (everything[:, 230:] > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_deterministic(run, tissue, method):
    options = SegmentOptions(components=5)
    first, second = (run(tissue, method=method, options=options) for _ in range(2))
    np.testing.assert_array_equal(first.label_map.labels, second.label_map.labels)
    assert first.recipe == second.recipe
    assert (first.label_map.labels > 0).any()


def test_single_brings_its_own_concepts(run, tissue):
    result = run(tissue, method="single", k=3, concepts=None)
    assert len(result.label_map.names) <= 3
    assert result.recipe["factorization"] == {"components": 3, "seed": 0}


def test_images_too_large_to_factorize_are_refused(run, tissue, monkeypatch):
    monkeypatch.setattr(page, "_FEATURE_BYTES", 1000)
    with pytest.raises(OptionError, match="--method project"):
        run(tissue, method="single", concepts=None)
    run(tissue, method="project")


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (200, 23)])
def test_small_and_narrow_images(run, size):
    image = np.random.default_rng(0).integers(60, 200, (*size, 3), np.uint8)
    assert run(image).label_map.labels.shape == size


def test_real_tissue_shifted_by_half_a_window(shared):
    image = shared / "data/oscc/OSCC_400x_10.jpg"
    plain = segment(image, concepts="embedded", source_mpp=0.25, k=16)
    shifted = segment(image, concepts="embedded", source_mpp=0.25, k=16, options=SegmentOptions(shift_px=512))
    assert (plain.label_map.labels != shifted.label_map.labels).mean() <= 0.01


@pytest.mark.parametrize("k", [2, 3])
def test_cluster_at_a_merged_level_is_a_lookup_in_the_finest_map(run, tissue, tiny_bank, k):
    owned = {2: (0, 1, 1, 0, 0, 1), 3: (2, 0, 1, 1, 0, 2)}[k]
    means = np.stack([tiny_bank.vectors[np.equal(owned, i)].mean(0) for i in range(k)])
    union = replace(new_bank(means, tiny_bank.encoder, mpp=1.0), leaves=Leaves(tiny_bank.vectors, owned))
    finest, merged = (run(tissue, concepts=bank, method="cluster") for bank in (tiny_bank, union))
    lookup = np.array([0, *(owner + 1 for owner in owned)])
    np.testing.assert_array_equal(merged.label_map.labels, lookup[finest.label_map.labels])
    assert merged.weights.values.shape[2] == k
    assert (merged.margin >= finest.margin - 1e-6).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_four_views_forget_directions(tiny_encoder, tiny_bank, tissue, turns):
    square = tissue[:288, :288]

    def labels(image, views):
        options = SegmentOptions(tissue=False, views=views)
        return segment(image, encoder=tiny_encoder, concepts=tiny_bank, options=options).label_map.labels[:]

    turned = np.ascontiguousarray(np.rot90(square, turns))
    agree = {views: (np.rot90(labels(turned, views), -turns) == labels(square, views)).mean() for views in (1, 4)}
    assert agree[4] > 0.95
    assert agree[4] > agree[1]


@pytest.mark.parametrize("method", ["project", "raw", "cluster"])
@pytest.mark.parametrize("band_rows", [3, 32])
def test_tissue_unlike_the_bank_has_a_label_of_its_own(run, tissue, method, band_rows, monkeypatch):
    monkeypatch.setattr("histofactor.segmentation.encoding.BAND_ROWS", band_rows)
    plain = run(tissue, method=method)
    limit = float(np.median(plain.tokens.residual[plain.tokens.label > 0]))
    told = run(tissue, method=method, options=SegmentOptions(unlike=limit))
    over = plain.tokens.residual > np.float32(limit)
    px = np.kron(over, np.ones((4, 4), bool))[: tissue.shape[0], : tissue.shape[1]]
    labels = plain.label_map.labels
    np.testing.assert_array_equal(told.label_map.labels, np.where(px & (labels > 0), 7, labels))
    np.testing.assert_array_equal(told.tokens.label, np.where(over & (plain.tokens.label > 0), 7, plain.tokens.label))
    np.testing.assert_array_equal(told.margin, plain.margin)
    assert 0.2 < (told.label_map.labels == 7).sum() / (labels > 0).sum() < 0.8
    assert told.label_map.names == (*plain.label_map.names, "unlike the bank")
    assert told.label_map.colors == (*plain.label_map.colors, (0, 0, 0))
    assert told.recipe == plain.recipe | {"unlike": limit}
    assert plain.recipe["unlike"] is None


def test_spoilt_tissue_is_unlike_the_bank(run, tissue):
    spoilt = tissue.copy()
    spoilt[:, 200:] = 255 - tissue[:, 200:]
    everything = SegmentOptions(tissue=False)
    limit = float(np.quantile(run(tissue, options=everything).tokens.residual, 0.99))
    labels = run(spoilt, options=replace(everything, unlike=limit)).label_map.labels
    assert (labels[:, 210:] == 7).mean() > 5 * (labels[:, :190] == 7).mean()


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["project", "cluster"])
def test_an_accelerator_gives_the_labels_of_the_cpu(tissue, method):
    maps = [
        segment(
            tissue,
            concepts="embedded",
            source_mpp=1.0,
            method=method,
            options=SegmentOptions(device=device, inference=Inference(precision="float32")),
        ).label_map.labels[:]
        for device in ("cpu", "cuda")
    ]
    assert maps[0].max() > 1
    assert (maps[0] == maps[1]).mean() > 0.995


def test_small_pieces_are_merged_in_the_labels_alone(tiny_encoder, tiny_bank, tissue):
    def run(area=None, mpp=1.0):
        options = SegmentOptions(views=1, min_area_um2=area)
        return segment(tissue, encoder=tiny_encoder, concepts=tiny_bank, source_mpp=mpp, options=options)

    plain, merged = run(), run(400.0)
    expected = merge_small(plain.label_map.labels, 400)
    np.testing.assert_array_equal(merged.label_map.labels, expected)
    assert (expected != plain.label_map.labels).any()
    for name in ("label", "share", "margin", "residual"):
        np.testing.assert_array_equal(getattr(merged.tokens, name), getattr(plain.tokens, name))
    np.testing.assert_array_equal(merged.margin, plain.margin)
    assert (merged.recipe["min_area_um2"], plain.recipe["min_area_um2"]) == (400.0, None)
    half = run(100.0, mpp=0.5)  # worked at 1 µm/px: half as many px
    np.testing.assert_array_equal(half.label_map.labels, merge_small(run(mpp=0.5).label_map.labels, 100))


def test_an_area_of_zero_merges_nothing_and_one_that_erases_the_map_is_told(tiny_encoder, tiny_bank, tissue):
    def run(area):
        options = SegmentOptions(views=1, min_area_um2=area)
        return segment(tissue, encoder=tiny_encoder, concepts=tiny_bank, source_mpp=1.0, options=options)

    plain, off, erased = run(None), run(0.0), run(1e9)
    np.testing.assert_array_equal(off.label_map.labels, plain.label_map.labels)
    assert off.recipe["min_area_um2"] is None
    assert not any(note.startswith("--min-area") for note in (*plain.slide.notes, *run(400.0).slide.notes))
    before, left = (np.unique(made.label_map.labels[made.label_map.labels > 0]) for made in (plain, erased))
    (note,) = (note for note in erased.slide.notes if note.startswith("--min-area 1e+09 µm²"))
    tissue_px = plain.label_map.labels > 0
    changed = (erased.label_map.labels != plain.label_map.labels)[tissue_px].mean()
    assert f"leaves {len(left)} of {len(before)} phenotypes, and {changed:.0%} of the tissue" in note
    assert is_warning(note)


@pytest.mark.parametrize(("area", "told"), [(-1.0, "or 0 to keep"), (float("nan"), "or 0 to keep")])
def test_an_area_that_makes_no_sense(tiny_encoder, tiny_bank, tissue, area, told):
    with pytest.raises(OptionError, match=told):
        segment(tissue, encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(min_area_um2=area))


def test_an_area_needs_a_resolution(tiny_encoder, tiny_bank, tissue):
    with pytest.raises(ResolutionError, match=r"400 µm² cannot be told.*--source-mpp"):
        segment(tissue, encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(min_area_um2=400.0))


FOLLOW = SegmentOptions(borders="image", views=1, tissue=False)


def test_weights_follow_the_colours_of_the_px_of_their_tokens(run, tissue):
    plain, drawn = run(tissue, options=replace(FOLLOW, borders="exact")), run(tissue, options=FOLLOW)
    height, width = (size // 8 for size in tissue.shape[:2])
    colours = tissue[: height * 8, : width * 8].reshape(height, 8, width, 8, 3).mean((1, 3)) / 255
    W = plain.weights.values[:height, :width]
    wanted = followed(W, colours, np.ones((height, width), bool))
    inner = slice(0, height - REACH), slice(0, width - REACH)  # tokens that see nothing beyond whole patches
    np.testing.assert_allclose(drawn.weights.values[inner], wanted[inner], atol=1e-5 * W.max())
    assert (drawn.label_map.labels != plain.label_map.labels).mean() > 0.001
    np.testing.assert_array_equal(drawn.weights.residual, plain.weights.residual)
    assert (drawn.recipe["borders"], plain.recipe["borders"]) == ("image", "exact")


@pytest.mark.parametrize("method", ["project", "cluster", "single"])
def test_drawn_borders_do_not_hang_on_bands_and_windows(run, tissue, method, monkeypatch):
    options = replace(FOLLOW, views=4, tissue=True, components=6)
    whole = run(tissue, options=options, method=method)
    monkeypatch.setattr(encoding, "BAND_ROWS", 5)
    banded = run(tissue, options=options, method=method)
    np.testing.assert_array_equal(banded.label_map.labels, whole.label_map.labels)
    np.testing.assert_array_equal(banded.weights.values, whole.weights.values)
    if method != "single":  # whose components hang on every bit
        moved = run(tissue, options=replace(options, shift_px=32), method=method)
        assert (moved.label_map.labels == whole.label_map.labels).mean() > 0.999


class Interrupted(MemoryStore):
    """Stops once a state of some rows is kept, and goes on from there."""

    def __init__(self, stop):
        super().__init__()
        self.kept, self._stop = None, stop

    def state(self):
        return self.kept

    def put(self, band, state):
        super().put(band, state)
        if state is not None and self.kept is None and self._stop:
            self.kept, self._stop = {name: np.copy(values) for name, values in state.items()}, False
            raise InterruptedError


def test_drawn_borders_go_on_where_they_stopped(tiny_encoder, tiny_bank, tissue):
    segmenter = prepare(encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(borders="image"))
    tall = np.concatenate([tissue, tissue[::-1]])
    with open_slide(tall, source_mpp=1.0) as slide:
        whole, store = segment_slide(slide, segmenter), Interrupted(stop=True)
        with pytest.raises(InterruptedError):
            segment_slide(slide, segmenter, store=store)
        assert store.kept["borders_rows"][1] > store.kept["borders_rows"][2] > 0  # some rows are yet to come out
        again = segment_slide(slide, segmenter, store=store)
    np.testing.assert_array_equal(again.label_map.labels, whole.label_map.labels)
    np.testing.assert_array_equal(again.weights.values, whole.weights.values)


def test_an_image_that_concepts_are_learned_from_keeps_its_colours(tiny_encoder, tissue):
    options = SegmentOptions(borders="image")
    learned = segment(tissue, encoder=tiny_encoder, k=4, source_mpp=1.0, options=options)
    bank = learned.weights.bank
    given = segment(tissue, encoder=tiny_encoder, concepts=bank, source_mpp=1.0, options=options)
    np.testing.assert_array_equal(learned.label_map.labels, given.label_map.labels)


def test_borders_that_are_none(run, tissue):
    with pytest.raises(OptionError, match=r"no such borders.*exact, image"):
        run(tissue, options=SegmentOptions(borders="smooth"))
