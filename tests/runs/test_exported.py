"""Results on disk give the tables and shapes that the segmentation itself gives, and one bad input stops no other."""

import csv
import dataclasses
import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histofactor.errors import ImageError, OptionError
from histofactor.export.tables import read_phenotypes
from histofactor.export.tokens import to_anndata, token_table
from histofactor.export.weights import SparseWeights
from histofactor.runs import exported as module
from histofactor.runs.edit_study import edit, merged
from histofactor.runs.exported import NO_MPP, NO_WEIGHTS, NO_WEIGHTS_DERIVED, Formats, export_all, open_mapped
from histofactor.runs.place import locked
from histofactor.runs.regroup import Regrouping
from histofactor.runs.relabel import relabel
from histofactor.runs.relabel_study import relabel_study

geopandas = pytest.importorskip("geopandas")
pytest.importorskip("anndata")
PARQUET = Formats(parquet=True)


def areas_of(folder):
    """µm² by label, as counted in the label map."""
    return np.bincount(tifffile.imread(folder / "labels.ome.tif").ravel(), minlength=9)[1:]


@pytest.mark.parametrize("method", ["project", "cluster"])
def test_files_tell_what_the_segmentation_tells(kept_weights, method):
    dense, folder = kept_weights(method)
    with open_mapped(folder) as one:
        found, expected = token_table(one), to_anndata(dense)
        assert found.obs["tissue_piece"].equals(expected.obs["tissue_piece"])
        assert found.obs.drop(columns=["margin", "residual"]).equals(expected.obs.drop(columns=["margin", "residual"]))
        assert np.abs((found.X - expected.X).toarray()).max() <= expected.X.max() / 60_000
        for name in ("margin", "residual"):
            assert np.abs(found.obs[name] - expected.obs[name]).max() < 1e-4
        assert (found.layers["area_px"] != expected.layers["area_px"]).nnz == 0
        assert one.slide.path.name == "case 1.png"
        assert one.made_by["recipe_sha256"] == json.loads((folder / "segmentation.json").read_text())["recipe_sha256"]


def test_merged_concepts_hold_the_weights_of_their_members(study):
    out, _ = study
    edit(out, None, merged([((1, 3), "both")]))
    assert {one.status for one in relabel_study(out).outcomes} == {"done"}
    with open_mapped(out / "a") as one:
        table = token_table(one)
        names = [row.name for row in read_phenotypes(out / "a/phenotypes.csv")[1:]]
        assert table.var["name"].tolist() == names
        weights = SparseWeights(out / "a/weights.zarr").rows(0, 10**6)
        rows, columns = table.obs["row"], table.obs["column"]
        expected = weights[rows, columns][:, [0, 2]].sum(axis=1)
        assert table.X[:, names.index("both")].toarray()[:, 0] == pytest.approx(expected, rel=1e-5)


def test_labels_that_were_derived_again_elsewhere(study, tmp_path):
    relabel(study[0] / "a", tmp_path / "new", Regrouping([((1, 3), "both")]))
    with open_mapped(tmp_path / "new") as one:
        assert one.slide.path is None  # that folder does not tell
        assert one.label_map.mpp == 1.0
        table = token_table(one)
        (note,) = module._notes(one, Formats(spatialdata=True))
        assert note == NO_WEIGHTS_DERIVED
    assert table.uns["histofactor"]["relabel"]["weights"] == "sum"
    assert table.n_vars == 7
    before = areas_of(study[0] / "a")
    labelled = table.layers["area_px"].sum()
    assert labelled == before.sum()
    assert table.var["name"].iloc[0] == "both"


def test_without_weights_it_says_which_option_keeps_them(segmented, tissue, tmp_path):
    Image.fromarray(tissue).save(tmp_path / "a.png")
    segmented([tmp_path / "a.png"], tmp_path / "out", source_mpp=None)
    with open_mapped(tmp_path / "out/a") as one:
        table = token_table(one)
        assert list(module._notes(one, Formats(spatialdata=True))) == [NO_MPP, NO_WEIGHTS]
        assert list(module._notes(one, Formats(parquet=True))) == [NO_MPP]
    assert table.X.sum(axis=1) == pytest.approx(1)
    assert {"margin", "residual"}.isdisjoint(table.obs)
    assert table.layers["area_px"].sum(axis=0).A1.tolist() == areas_of(tmp_path / "out/a")[:6].tolist()


def test_areas_are_not_rounded_as_in_the_table(segmented, tissue, tmp_path):
    Image.fromarray(tissue).save(tmp_path / "a.png")
    segmented([tmp_path / "a.png"], tmp_path / "out", source_mpp=0.7137)
    with open_mapped(tmp_path / "out/a") as one:
        mpp = one.label_map.mpp
        assert mpp == pytest.approx(1, abs=0.1)
        assert [row.area_um2 for row in one.phenotypes] == [px * mpp**2 for px in areas_of(tmp_path / "out/a")[:6]]
    written = [row.area_um2 for row in read_phenotypes(tmp_path / "out/a/phenotypes.csv")[1:]]
    assert written != [row.area_um2 for row in one.phenotypes]


def test_a_large_input_gets_larger_tiles_and_says_so(study, monkeypatch):
    monkeypatch.setattr("histofactor.export.tokens._MOST_CELLS", 1000)
    with open_mapped(study[0] / "a") as one:
        (note,) = module._notes(one, Formats(spatialdata=True))
        assert "a tile is 2 × 2 tokens: --tile-tokens 1 keeps each" in note
        assert list(module._notes(one, Formats(spatialdata=True, tile_tokens=1))) == []


def test_parquet_of_all_inputs_has_their_areas(study):
    out, _ = study
    told = []
    assert export_all(out, None, PARQUET, told.append) == told
    assert [(one.input, one.status, one.folder) for one in told] == [
        (name, "done", str(out / name)) for name in ("a", "b")
    ]
    for name in ("a", "b"):
        found = geopandas.read_parquet(out / name / "regions.parquet")
        area = found.geometry.area.groupby(found["label"]).sum().reindex(range(1, 9), fill_value=0)
        assert area.tolist() == pytest.approx(areas_of(out / name), rel=0.005)
        assert found["area_um2"].sum() == areas_of(out / name).sum()


def test_what_a_table_was_told_by_hand_is_not_exported_without_a_word(study):
    out, _ = study
    table = out / "a/phenotypes.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("Concept 2", "stroma"), encoding="utf-8")
    first, second = export_all(out, None, PARQUET)
    assert [len(one.notes) for one in (first, second)] == [1, 0]
    assert "'stroma'" in first.notes[0]
    assert first.files == (out / "a/regions.parquet", out / "a/phenotypes.parquet")
    names = set(geopandas.read_parquet(out / "a/regions.parquet")["name"])
    assert names <= {f"Concept {label}" for label in range(1, 9)}
    assert "Concept 2" in names


def test_a_folder_of_folders_of_single_inputs(study, tmp_path):
    relabel(study[0] / "a", tmp_path / "new/a", Regrouping([((1, 3), "both")]))
    with pytest.raises(OptionError, match="holds no results") as error:
        export_all(tmp_path / "new", None, PARQUET)
    assert error.value.mend == f"name one of them, such as {tmp_path / 'new/a'}"


def test_one_damaged_input_stops_no_other(study, tmp_path):
    out, _ = study
    labels = out / "a/labels.ome.tif"
    spoiled = bytearray(labels.read_bytes())
    spoiled[-9] ^= 1
    labels.write_bytes(spoiled)
    first, second = export_all(out, tmp_path / "to", PARQUET)
    assert (first.status, second.status) == ("failed", "done")
    assert "labels.ome.tif is not as it was written" in first.error
    assert sorted(path.name for path in (tmp_path / "to/b").iterdir()) == ["phenotypes.parquet", "regions.parquet"]
    assert not (tmp_path / "to/a").exists()


def test_an_input_without_results_is_told(study):
    out, _ = study
    (out / "b/segmentation.json").unlink()
    first, second = export_all(out, None, PARQUET)
    assert (first.status, second.status) == ("done", "failed")
    assert "b.png has no results to export" in second.error


def test_a_table_that_does_not_fit_the_labels(study):
    table = study[0] / "a/phenotypes.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ImageError, match=r"are damaged.*8 phenotypes, and 9 labels"), open_mapped(table.parent):
        pass


@pytest.mark.parametrize(
    ("column", "value"), [("area_px", "99999"), ("area_um2", "nan"), ("area_um2", ""), ("fraction", "0.9")]
)
def test_a_table_whose_numbers_do_not_belong_together(study, column, value):
    table = study[0] / "a/phenotypes.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    largest = max(rows[1:], key=lambda row: int(row["area_px"]))
    largest[column] = value
    with table.open("w", newline="") as file:
        written = csv.DictWriter(file, rows[0])
        written.writeheader()
        written.writerows(rows)
    first, second = export_all(study[0], None, PARQUET)
    assert (first.status, second.status) == ("failed", "done")
    assert "phenotypes.csv tells of" in first.error
    assert not (study[0] / "a/regions.parquet").exists()


def test_a_table_of_another_input_of_the_same_size(study):
    out, _ = study
    assert areas_of(out / "a").tolist() != areas_of(out / "b").tolist()
    shutil.copy(out / "b/phenotypes.csv", out / "a/phenotypes.csv")
    first, second = export_all(out, None, PARQUET)
    assert (first.status, second.status) == ("failed", "done")
    assert "does not tell of the label map" in first.error
    assert not (out / "a/regions.parquet").exists()


def test_a_seal_that_is_gone_is_told(study):
    (study[0] / "a/segmentation.json").unlink()
    first, _ = export_all(study[0], None, PARQUET)
    assert first.error.endswith("done, and no segmentation.json")


def test_what_exists_stays_unless_it_is_to_be_replaced(study, tmp_path):
    source, to = study[0] / "a", tmp_path / "to"
    (to / "a").mkdir(parents=True)
    (to / "a/regions.parquet").write_text("mine")
    (to / "a/.0123456789ab-regions.parquet").write_text("of an export that was killed")
    (one,) = export_all(source, to, PARQUET)
    assert one.status == "failed"
    assert one.error.endswith("regions.parquet exists; --overwrite replaces it")
    assert (to / "a/regions.parquet").read_text() == "mine"
    (one,) = export_all(source, to, dataclasses.replace(PARQUET, overwrite=True))
    assert one.status == "done"
    assert sorted(path.name for path in (to / "a").iterdir()) == ["phenotypes.parquet", "regions.parquet"]
    assert [path.name for path in to.iterdir()] == ["a"]


def test_results_that_change_meanwhile_are_not_exported(study, tmp_path, monkeypatch):
    def changing(one, folder, write=module.write_parquet):
        (study[0] / "a/segmentation.json").write_text("{}")
        write(one, folder)

    monkeypatch.setattr(module, "write_parquet", changing)
    (one,) = export_all(study[0] / "a", tmp_path / "to", PARQUET)
    assert "was changed while it was exported" in one.error
    assert list((tmp_path / "to").rglob("*.parquet")) == []


def test_two_processes_export_one_input_once(study, tmp_path):
    with locked(tmp_path / "to/.a.export.lock"):
        (one,) = export_all(study[0] / "a", tmp_path / "to", PARQUET)
    assert "being exported by another process" in one.error


def test_what_cannot_be_exported(study, tmp_path):
    with pytest.raises(OptionError, match="nothing to export is named"):
        export_all(study[0], None, Formats())
    with pytest.raises(OptionError, match="no results"):
        export_all(tmp_path, None, PARQUET)
    (study[0] / "a").rename(tmp_path / "elsewhere")
    Path(study[0] / "a").symlink_to(tmp_path / "elsewhere")
    first, _ = export_all(study[0], None, PARQUET)
    assert "reached without links" in first.error


@pytest.mark.filterwarnings("ignore")
def test_spatialdata_of_all_inputs_has_their_areas(study, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spatialdata = pytest.importorskip("spatialdata", reason="needs spatialdata, see `make test-ecosystem`")
    out, _ = study
    outcomes = export_all(out, tmp_path, Formats(spatialdata=True, parquet=True))
    tables = "regions.parquet", "phenotypes.parquet"
    assert [one.files for one in outcomes] == [
        (tmp_path / f"{name}.zarr", *(tmp_path / name / table for table in tables)) for name in ("a", "b")
    ]
    for name in ("a", "b"):
        assert (tmp_path / name / "phenotypes.parquet").exists()
        found = spatialdata.read_zarr(tmp_path / f"{name}.zarr")
        expected = areas_of(out / name)
        assert found.tables["areas"].obs["area_um2"].tolist() == expected.tolist()
        labels = np.asarray(found.labels["phenotypes"])
        assert np.bincount(labels.ravel(), minlength=9)[1:].tolist() == expected.tolist()
        assert found.attrs["histofactor"]["slide"] == f"{name}.png"
