import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_writer import BIG_ENDIAN, EXPLICIT, IMPLICIT, dicom
from histofactor.slides.dicom_header import DicomHeader, dicom_header


def read_dicom_header(path):
    with path.open("rb") as file:
        return dicom_header(file)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.4.50"], ids=["explicit", "implicit", "JPEG"])
@pytest.mark.parametrize("defined", [True, False])
def test_series_study_kind_and_size_are_read_and_those_inside_sequences_are_not(tmp_path, syntax, defined):
    (tmp_path / "a.dcm").write_bytes(dicom(syntax=syntax, defined=defined))
    assert read_dicom_header(tmp_path / "a.dcm") == DicomHeader("1.2.3", "1.2.4", True, (1024, 768))


@pytest.mark.parametrize("kind", ["LABEL", "OVERVIEW", "THUMBNAIL"])
def test_labels_overviews_and_thumbnails_are_no_volume(tmp_path, kind):
    (tmp_path / "a.dcm").write_bytes(dicom(f"DERIVED\\PRIMARY\\{kind}\\RESAMPLED", (200, 100)))
    assert read_dicom_header(tmp_path / "a.dcm") == DicomHeader("1.2.3", "1.2.4", False, (200, 100))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"DICM",
        bytes(128) + b"DICM",
        dicom(sop="1.2.840.10008.5.1.4.1.1.2"),  # computed tomography
        dicom(series=""),
        dicom(syntax=BIG_ENDIAN),
        b"\x89PNG" + bytes(200),
    ],
    ids=["empty", "no preamble", "no elements", "CT", "no series", "big endian", "PNG"],
)
def test_what_is_no_whole_slide_has_no_header(tmp_path, content):
    (tmp_path / "a.dcm").write_bytes(content)
    assert read_dicom_header(tmp_path / "a.dcm") is None


@given(st.data())
def test_damage_is_never_an_error(tmp_path_factory, data):
    content = bytearray(dicom(defined=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.dcm"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    header = read_dicom_header(path)
    assert header is None or isinstance(header, DicomHeader)
