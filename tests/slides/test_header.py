import pytest
import tifffile

from histofactor.slides.header import capped, objective_of, tiff_header


@pytest.mark.parametrize(
    ("text", "power"),
    [("20", 20.0), ("40x", 40.0), ("2,5", 2.5), ("", None), (None, None), ("0", None), ("-4", None), ("nan", None)],
)
def test_an_objective_is_a_positive_number(text, power):
    assert objective_of(text) == power


def test_properties_are_capped():
    kept = capped((f"k{n}", "x" * 5000) for n in range(10_000))
    assert len(kept) == 500
    assert set(map(len, kept.values())) == {1000}


@pytest.mark.parametrize(
    ("description", "vendor", "power"),
    [
        ("Aperio Image Library v11\r\n9x9|AppMag = 20|MPP = 0.5", "aperio", 20.0),
        ("ImageJ=1.53t\nunit=um\n", "imagej", None),
        ('<OME xmlns="http://www.openmicroscopy.org/"><Objective NominalMagnification="40.0"/></OME>', "ome", 40.0),
        ("Converted|AppMag = 10", "", 10.0),
        ("", "", None),
    ],
)
def test_what_a_tiff_states(tmp_path, texture, description, vendor, power):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, texture(32, 32), description=description, metadata=None, software="scan 1")
    with tifffile.TiffFile(path) as tiff:
        found = tiff_header(tiff.pages[0], tiff.pages[0])
    assert found[:2] == (vendor, power)
    assert found[2]["tiff.Software"] == "scan 1"
    assert found[2].get("aperio.MPP") == ("0.5" if vendor == "aperio" else None)
