"""Which files on a store are one slide."""

from dicom_writer import dicom
from histofactor.records.urls import Url
from histofactor.slides.inputs import find_inputs
from histofactor.slides.slide_parts import slide_name


def test_dicom_series_are_one_slide(memory, kept):
    for name, size in {"1.dcm": (256, 192), "2.dcm": (1024, 768), "3.dcm": (512, 384)}.items():
        memory.pipe_file(f"/case 7/{name}", dicom(size=size))
    memory.pipe_file("/case 7/4.dcm", dicom("ORIGINAL\\PRIMARY\\LABEL\\NONE", (100, 100)))
    (found,) = find_inputs(["memory://case 7/"])
    assert (found.name, slide_name(found)) == ("2.dcm", "case 7")
    with kept.file(Url(found.address)) as path:
        assert path.name == "2.dcm"
        assert sorted(one.name for one in path.parent.iterdir()) == ["1.dcm", "2.dcm", "3.dcm", "4.dcm"]
