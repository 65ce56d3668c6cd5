"""Features on disk: they are those of the image, and labels made of them are its labels."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr
from PIL import Image

from histofactor.encoders.encoder import with_transform
from histofactor.errors import BankMismatch, ImageError, OptionError
from histofactor.records import Region
from histofactor.runs.source import Opening
from histofactor.segmentation.feature_cache import cache_features
from histofactor.segmentation.feature_file import encoder_for, encoder_of, recipe_in
from histofactor.segmentation.feature_writer import write_features
from histofactor.segmentation.page import segment, segment_slide
from histofactor.segmentation.setup import SegmentOptions, TissueRule, load_setup, prepare
from histofactor.slides.inputs import find_inputs
from histofactor.slides.reader import open_slide
from histofactor.slides.slide_parts import slide_name


@pytest.fixture
def image(tmp_path, tissue):
    path = tmp_path / "in/case.png"
    path.parent.mkdir()
    Image.fromarray(tissue).save(path)
    return path


@pytest.fixture
def written(image, tmp_path):
    def write(encoder, dtype="float32", views=4):
        setup = load_setup(encoder, options=SegmentOptions(views=views))
        path = tmp_path / f"F/{dtype}.features.zarr"
        with open_slide(image, source_mpp=1.0) as slide:
            n = write_features(slide, setup, path, recipe="r", dtype=dtype)
            cache = cache_features(slide, setup)
        assert n == sum(part.tissue.sum() for part in cache.parts)
        return path, cache

    return write


def test_what_is_written_is_what_was_encoded(written, tiny_encoder, image):
    path, cache = written(tiny_encoder)
    group = zarr.open_group(path, mode="r")
    whole = {
        name: np.concatenate([getattr(part, name) for part in cache.parts]) for name in ("B", "sq_norms", "tissue")
    }
    np.testing.assert_array_equal(group["tokens"][:], whole["B"] * whole["tissue"][..., None])
    np.testing.assert_array_equal(group["sq_norms"][:], whole["sq_norms"])
    np.testing.assert_array_equal(group["tissue"][:], whole["tissue"])
    header = group.attrs["histofactor"]
    assert header["key"] == {"name": "tiny", "revision": "1", "layer": "conv", "transform": "relu"}
    assert header["grid"] == {"origin_l0_px": [0, 0], "stride_l0_px": [4.0, 4.0], "mpp": 1.0}
    assert header["input"] == {"name": "case.png", "path": str(image)}
    assert recipe_in(path) == "r"
    assert recipe_in(path.parent) == ""
    assert encoder_of(path).spec == tiny_encoder.spec
    half, _ = written(tiny_encoder, "float16")
    np.testing.assert_allclose(zarr.open_group(half, mode="r")["tokens"][:], group["tokens"][:], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", ["project", "cluster", "factorize"])
def test_labels_are_those_of_the_image(written, tiny_encoder, tiny_bank, image, method):
    path, _ = written(tiny_encoder)
    with open_slide(image, source_mpp=1.0) as slide:
        expected = segment_slide(slide, prepare(encoder=tiny_encoder, concepts=tiny_bank, method=method))
    options = SegmentOptions(views=1)  # those of the features count
    segmenter = prepare(encoder=encoder_of(path), concepts=tiny_bank, method=method, options=options)
    with Opening().open(path) as slide:
        made = segment_slide(slide, segmenter)
        region = Region(10, 20, 30, 40, (30, 40))
        with open_slide(image) as same:
            np.testing.assert_array_equal(slide.read(region), same.read(region))
    np.testing.assert_array_equal(made.label_map.labels, expected.label_map.labels)
    np.testing.assert_allclose(made.margin, expected.margin, atol=1e-4)
    np.testing.assert_allclose(made.tokens.residual, expected.tokens.residual, atol=1e-4)
    assert made.recipe["geometry"] == expected.recipe["geometry"]
    told = "its features are of 4 views of each place, and so it is worked"
    assert made.slide.notes == (*expected.slide.notes, told)


def test_without_the_image_its_place_is_white_and_said(written, tiny_encoder, tiny_bank, image):
    path, _ = written(tiny_encoder)
    with Opening().open(path) as slide:
        expected = segment_slide(slide, prepare(encoder=tiny_encoder, concepts=tiny_bank))
    for change, told in ((lambda: Image.new("RGB", (32, 32)).save(image), "another size"), (image.unlink, "is gone")):
        change()
        with Opening().open(path) as slide:
            made = segment_slide(slide, prepare(encoder=tiny_encoder, concepts=tiny_bank))
            assert (slide.read(Region(0, 0, 8, 8, (8, 8))) == 255).all()
        np.testing.assert_array_equal(made.label_map.labels, expected.label_map.labels)
        assert told in made.slide.notes[-1]
        assert "left white" in made.slide.notes[-1]


def test_another_encoder_or_resolution_is_refused_with_both_sides(written, tiny_encoder, tiny_bank):
    path, _ = written(tiny_encoder)
    other = with_transform(tiny_encoder, "root")
    with Opening().open(path) as slide, pytest.raises(BankMismatch, match=r"transform='root'.*transform='relu'"):
        slide.cache(load_setup(other))
    with Opening().open(path) as slide, pytest.raises(OptionError, match=r"at 1 µm/px.*--mpp 2"):
        slide.cache(load_setup(tiny_encoder, mpp=2.0))
    masked = replace(load_setup(tiny_encoder), tissue=TissueRule(mask=path))
    with Opening().open(path) as slide, pytest.raises(OptionError, match="a tissue mask"):
        slide.cache(masked)
    other_views = replace(load_setup(tiny_encoder), views=7)
    with Opening().open(path) as slide:
        slide.cache(other_views)
        assert "of each place" in slide.info.notes[-1]
    with pytest.raises(BankMismatch):
        prepare(encoder=encoder_of(path), concepts=replace(tiny_bank, encoder=other.spec.key))
    assert encoder_for([path], "embedded").spec == tiny_encoder.spec
    assert encoder_for([path, path.parent], "embedded") == "embedded"
    with pytest.raises(BankMismatch, match="expected uni; got tiny"):
        encoder_for([path], "uni")


def test_damage_is_one_message(written, tiny_encoder, tiny_bank):
    path, _ = written(tiny_encoder)

    def damaged(change):
        copy = path.with_name("copy.features.zarr")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(path, copy)
        change(copy)
        told = pytest.raises(ImageError, match=r"copy.features.zarr cannot be read.*write them again")
        with told, Opening().open(copy) as slide:
            segment_slide(slide, prepare(encoder=tiny_encoder, concepts=tiny_bank))

    damaged(lambda copy: shutil.rmtree(copy / "sq_norms"))
    damaged(lambda copy: shutil.rmtree(copy / "tokens/c"))
    damaged(lambda copy: (copy / "zarr.json").write_text("{}"))

    def without_encoder(copy):
        content = json.loads((copy / "zarr.json").read_text())
        content["attributes"]["histofactor"]["encoder"] = {}
        (copy / "zarr.json").write_text(json.dumps(content))

    damaged(without_encoder)

    def flipped(copy):
        chunk = next(one for one in (copy / "tokens/c").rglob("*") if one.is_file())
        chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")

    damaged(flipped)


def test_features_too_large_for_half_numbers(image, tiny_encoder, tmp_path):
    loud = replace(tiny_encoder, dense=lambda pixels: tiny_encoder.dense(pixels) * 1e6)
    with open_slide(image, source_mpp=1.0) as slide, pytest.raises(ImageError, match="write float32"):
        write_features(slide, load_setup(loud), tmp_path / "x.features.zarr", recipe="", dtype="float16")
    assert not (tmp_path / "x.features.zarr").exists()


def test_folders_of_features_are_inputs(written, tiny_encoder):
    path, _ = written(tiny_encoder)
    assert find_inputs([path]) == [path] == find_inputs([path.parent]) == find_inputs([f"{path.parent}/*.zarr"])
    assert slide_name(path) == "float32"


def test_segment_learns_from_features_as_from_the_image(written, tiny_encoder, image):
    path, _ = written(tiny_encoder)
    expected = segment(image, encoder=tiny_encoder, k=4, source_mpp=1.0)
    made = segment(path, encoder=tiny_encoder, k=4)
    np.testing.assert_array_equal(made.label_map.labels, expected.label_map.labels)


def test_features_tell_no_colours(written, tiny_encoder, tiny_bank):
    path, _ = written(tiny_encoder)
    plain, drawn = (
        segment(path, encoder=tiny_encoder, concepts=tiny_bank, options=SegmentOptions(borders=borders))
        for borders in ("exact", "image")
    )
    np.testing.assert_array_equal(drawn.label_map.labels, plain.label_map.labels)
    assert drawn.recipe["borders"] == "exact"
    note = "its features tell no colours, so its borders do not follow the image"
    assert (note in drawn.slide.notes, note in plain.slide.notes) == (True, False)
