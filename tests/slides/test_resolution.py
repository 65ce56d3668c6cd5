import math
import time

import pytest

from histofactor.errors import ResolutionError
from histofactor.slides.resolution import StatedMpp, from_dpi, from_ome, from_text, from_tiff, settle_mpp
from histofactor.slides.warnings import UNKNOWN_MPP

OME = '<?xml version="1.0"?><OME><Image><Pixels PhysicalSizeX="{x}" PhysicalSizeY="{y}"{unit} SizeX="9"/></Image></OME>'


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200])
def test_screen_and_print_densities_are_not_believed(dpi):
    mpp, notes = settle_mpp(from_dpi((dpi, dpi), f"{dpi} dpi"), None, "a.png")
    assert mpp is None
    assert f"{dpi} dpi" in notes[0]
    assert notes[-1] == UNKNOWN_MPP


@pytest.mark.parametrize("mpp", [0.05, 0.2523, 0.5, 2.0, 20.0])
def test_a_density_of_a_microscope_is_believed(mpp):
    settled, notes = settle_mpp(from_dpi((25_400 / mpp, 25_400 / mpp), "density"), None, "a.png")
    assert settled == pytest.approx(mpp)
    assert notes == ()


@pytest.mark.parametrize(
    ("description", "resolution", "unit", "expected"),
    [
        ("", (20_000, 20_000), 3, 0.5),
        ("", (50_800, 50_800), 2, 0.5),
        ("", (20_000, 20_000), 1, None),
        ("", (math.nan, math.nan), 3, None),
        ("", (0, 0), 3, None),
        ("", None, 2, None),
        (OME.format(x=0.25, y=0.25, unit=""), (72, 72), 2, 0.25),
        (OME.format(x=250, y=250, unit=' PhysicalSizeXUnit="nm" PhysicalSizeYUnit="nm"'), None, 1, 0.25),
        (OME.format(x=0.25, y=0.25, unit=' PhysicalSizeXUnit="&#181;m" PhysicalSizeYUnit="μm"'), None, 1, 0.25),
        (OME.format(x=1, y=1, unit=' PhysicalSizeXUnit="pixel" PhysicalSizeYUnit="pixel"'), None, 1, None),
        (OME.format(x="wide", y="high", unit=""), (20_000, 20_000), 3, 0.5),
        ("Aperio Image Library v11\r\n46000x32914|AppMag = 20|MPP = 0.4990|Left = 2", (1, 1), 2, 0.499),
        ("Aperio Image Library v11\r\n|MPP = 0|", None, 2, None),
        ("ImageJ=1.53t\nunit=micron\nspacing=3.0\n", (4, 4), 1, 0.25),
        ("ImageJ=1.53t\nunit=\\u00B5m\n", (4, 4), 1, 0.25),
        ("ImageJ=1.53t\nunit=mm\n", (2000, 2000), 1, 0.5),
        ("ImageJ=1.53t\nunit=pixel\n", (4, 4), 2, None),
        ("ImageJ=1.53t\n", (4, 4), 2, None),
        (OME.format(x=0.25, y=0.25, unit=' PhysicalSizeXUnit="Âµm" PhysicalSizeYUnit="Î¼m"'), None, 1, 0.25),
        (OME.format(x=2500, y=2500, unit=' PhysicalSizeXUnit="Å" PhysicalSizeYUnit="Å"'), None, 1, 0.25),
        (OME.format(x="0,25", y="0,25", unit=""), None, 1, 0.25),
        ("Converted slide|AppMag = 20|MPP = 0,5000", None, 2, 0.5),
        ("Converted slide|MPP = 0,5,0", None, 2, None),
        # an implausible word gives way to a plausible one
        (OME.format(x=353, y=353, unit=""), (20_000, 20_000), 3, 0.5),
    ],
)
def test_tiff_headers(description, resolution, unit, expected):
    mpp, _ = settle_mpp(from_tiff(description, resolution, unit), None, "a.tif")
    assert mpp == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("description", "resolution", "mpp"),
    [
        (OME.format(x=1, y=1, unit=' PhysicalSizeXUnit="furlong" PhysicalSizeYUnit="furlong"'), None, None),
        (OME.format(x=1, y=1, unit=' PhysicalSizeXUnit="furlong"'), (20_000, 20_000), 0.5),
        ("ImageJ=1.53t\nunit=furlong\n", (4, 4), None),
    ],
)
def test_a_unit_that_is_not_known_is_told(description, resolution, mpp):
    stated = from_tiff(description, resolution, 3)
    found, notes = settle_mpp(stated, None, "a.tif")
    assert found == mpp
    assert notes[0].endswith("unit 'furlong' not known")
    assert not any("no µm/px in the header" in note for note in notes)
    if mpp is None:
        with pytest.raises(ResolutionError, match=r"got the header's .* unit 'furlong' not known"):
            settle_mpp(stated, None, "a.svs", required=True)


@pytest.mark.parametrize("text", ["MPP" + " " * 300_000, "ImageJ=1\nunit=" + " " * 300_000 + "x", "MPP " * 80_000])
def test_long_descriptions_take_no_quadratic_time(text):
    started = time.process_time()
    from_tiff(text, (4.0, 4.0), 3)
    assert time.process_time() - started < 5  # quadratic: minutes


def test_pixels_that_are_not_square_are_refused_unless_the_user_decides():
    stated = from_tiff(OME.format(x=0.25, y=0.5, unit=""), None, 1)
    with pytest.raises(ResolutionError, match=r"x 0\.25 and y 0\.5 .*--source-mpp"):
        settle_mpp(stated, None, "a.tif")
    assert settle_mpp(stated, 0.4, "a.tif")[0] == 0.4


def test_nearly_square_pixels_are_averaged():
    assert settle_mpp((StatedMpp(0.50, 0.51, "header"),), None, "a.tif")[0] == pytest.approx(0.505, abs=1e-4)


def test_the_user_overrides_the_header_and_it_is_told():
    stated = (StatedMpp(0.5, 0.5, "OME PhysicalSize"),)
    mpp, notes = settle_mpp(stated, 0.25, "a.tif")
    assert mpp == 0.25
    assert "0.25" in notes[0]
    assert "OME PhysicalSize" in notes[0]
    assert settle_mpp(stated, 0.5, "a.tif") == (0.5, ())
    assert settle_mpp((), 0.5, "a.tif") == (0.5, ())


@pytest.mark.parametrize("bad", [0, -0.5, math.nan, math.inf, -math.inf, 0.049, 20.1, 353])
def test_an_impossible_source_mpp_is_refused(bad):
    with pytest.raises(ResolutionError, match="--source-mpp"):
        settle_mpp((), bad, "a.tif")


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [("0.25", "0.26", (0.25, 0.26)), ("0.25", None, (0.25, 0.25)), (None, "0.5", (0.5, 0.5)), (None, None, None),
     ("", "0.5", (0.5, 0.5)), ("wide", "0.5", None), ("0", "0", (0, 0)), ("-1", "-1", (-1, -1))],
)  # fmt: skip
def test_mpp_as_text(x, y, expected):
    assert [(item.x, item.y) for item in from_text(x, y, "a field")] == ([] if expected is None else [expected])


@pytest.mark.parametrize("told", ["0", "-0,5", "900"])
def test_an_impossible_mpp_is_told_as_what_it_is(told):
    number = float(told.replace(",", "."))
    for stated in (from_tiff(f"x|MPP = {told}|", None, 1), from_ome({"PhysicalSizeX": told})):
        mpp, notes = settle_mpp(stated, None, "a.tif")
        assert mpp is None
        assert f"{number:g} µm/px, is none of a microscope and was not believed" in notes[0]
        with pytest.raises(ResolutionError, match=f"got the header's .*{number:g} µm/px"):
            settle_mpp(stated, None, "a.svs", required=True)


def test_a_whole_slide_needs_mpp():
    with pytest.raises(ResolutionError, match=r"a\.svs states no µm/px; expected .*; got none; .*--source-mpp"):
        settle_mpp((), None, "a.svs", required=True)
    with pytest.raises(ResolutionError, match=r"got the header's density, 353 µm/px, is none of a microscope"):
        settle_mpp((StatedMpp(353, 353, "density"),), None, "a.svs", required=True)
    assert settle_mpp((), 0.25, "a.svs", required=True) == (0.25, ())
    assert settle_mpp((StatedMpp(0.5, 0.5, "density"),), None, "a.svs", required=True) == (0.5, ())
