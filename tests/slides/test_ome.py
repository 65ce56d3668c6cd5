import time

import pytest

from histofactor.slides.ome import attributes_of, ome_images

SCENES = """<?xml version="1.0"?><ome:OME xmlns:ome="x" UUID="urn:uuid:1">
<ome:Image ID="Image:0" Name="A &amp; B"><ome:Pixels SizeX='9' SizeC="3" SizeZ="1"><ome:Channel Name="Red"/>
<ome:Channel Color="16711935"/><ome:Channel/><ome:TiffData IFD="2" FirstC="1"/><ome:TiffData IFD="5" PlaneCount="2"/>
<ome:TiffData IFD="7"><ome:UUID FileName="other.tif">urn:uuid:2</ome:UUID></ome:TiffData>
<ome:TiffData IFD="8"><ome:UUID FileName="renamed.tif">urn:uuid:1</ome:UUID></ome:TiffData></ome:Pixels></ome:Image>
<ome:Image><ome:Pixels SizeZ="x"><ome:TiffData/></ome:Pixels></ome:Image></ome:OME>"""


def test_images_channels_and_planes():
    first, second = ome_images(SCENES)
    assert first.name == "A & B"
    assert first.channels == ("Red", "Green", "")
    assert first.planes == ((1, 2, 1), (0, 5, 2), (0, 8, 1))  # what lies in another file is left out
    assert first.pixels["SizeX"] == "9"
    assert first.count("SizeC") == 3
    assert second.name == ""
    assert second.count("SizeZ") == second.count("SizeT") == 1
    assert second.planes == ((0, 0, None),)
    assert ome_images("Aperio Image Library") == []


def test_attributes():
    assert attributes_of(" a = \"1\" b='&#181;m' c") == {"a": "1", "b": "µm"}


@pytest.mark.parametrize(
    "text",
    [
        "<Pixels " + "a" * 400_000, "<Image" * 70_000, "<Image><Pixels " + 'a = "' * 80_000, "<" * 400_000,
        "<Image>" + "<TiffData/>" * 40_000, "<Pixels a" + " " * 400_000, "a:" * 200_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_long_texts_take_no_quadratic_time(text):
    started = time.process_time()
    ome_images(text)
    assert time.process_time() - started < 5  # quadratic: minutes
