"""The public surface: what it is, and that importing it is light."""

import json
import subprocess
import sys

import pytest

import histofactor

PUBLIC = {
    "BankError", "BankMismatch", "ConceptBank", "EncoderError", "EngineError", "EncoderKey", "EncoderSpec", "Features",
    "HistofactorError", "ImageError", "LabelMap", "OptionError", "OutputError", "Region", "ResolutionError",
    "EvaluateOptions", "Opening", "Outputs", "Inference", "LearnOptions", "ManyOptions", "SegmentOptions",
    "Segmentation", "SlideInfo", "UnreadableRegion", "Weights", "decode", "evaluate", "factorize",
    "list_encoders", "load_bank", "load_encoder", "open_slide", "project", "save_bank", "segment",
    "segment_many", "learn_concepts", "to_anndata", "to_geodataframe", "to_spatialdata", "to_html", "plot",
}  # fmt: skip


def test_all_is_pinned():
    assert set(histofactor.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_loads_and_is_documented(name):
    assert getattr(histofactor, name).__doc__


def test_functions_stay_functions_after_their_modules_load():
    assert callable(histofactor.evaluate)
    assert callable(histofactor.segment)
    assert callable(histofactor.project)


def test_unknown_names():
    with pytest.raises(AttributeError, match="nonsense"):
        histofactor.nonsense  # noqa: B018


@pytest.mark.parametrize("statement", ["import histofactor", "from histofactor.cli.main import app"])
def test_import_is_light_and_opens_no_socket(statement):
    program = f"""
import json, sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event == "socket.connect" else None)
{statement}
heavy = {{"torch", "timm", "numba", "cv2", "sklearn", "skimage", "rasterio", "scipy", "numpy"}}
print(json.dumps([sorted(heavy & set(sys.modules)), sockets]))
"""
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == [[], []]
