"""histofactor: unsupervised tissue segmentation by factorizing the features of pretrained encoders.

Public names load on first use, so that importing the package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "segment": "histofactor.segmentation.page",
    "SegmentOptions": "histofactor.segmentation.setup",
    "segment_many": "histofactor.runs.segment_many",
    "Opening": "histofactor.runs.source",
    "Outputs": "histofactor.runs.results",
    "EvaluateOptions": "histofactor.evaluation.run",
    "ManyOptions": "histofactor.runs.segment_many",
    "learn_concepts": "histofactor.runs.learn_concepts",
    "LearnOptions": "histofactor.runs.sample_builder",
    "Inference": "histofactor.encoders.encoder",
    "evaluate": "histofactor.evaluation.run",
    "to_anndata": "histofactor.export.tokens",
    "to_geodataframe": "histofactor.export.regions",
    "to_spatialdata": "histofactor.export.spatial",
    "to_html": "histofactor.export.notebook",
    "plot": "histofactor.export.notebook",
    "load_encoder": "histofactor.encoders.build",
    "list_encoders": "histofactor.encoders.registry",
    "load_bank": "histofactor.concepts.bank.file",
    "save_bank": "histofactor.concepts.bank.file",
    "project": "histofactor.factor.nnls",
    "factorize": "histofactor.factor.nmf",
    "decode": "histofactor.masks.decode",
    "open_slide": "histofactor.slides.reader",
    **dict.fromkeys(
        (
            "ConceptBank",
            "EncoderKey",
            "EncoderSpec",
            "Features",
            "LabelMap",
            "Region",
            "Segmentation",
            "SlideInfo",
            "Weights",
        ),
        "histofactor.records",
    ),
    **dict.fromkeys(
        (
            "BankError",
            "BankMismatch",
            "EncoderError",
            "EngineError",
            "HistofactorError",
            "ImageError",
            "OptionError",
            "OutputError",
            "ResolutionError",
            "UnreadableRegion",
        ),
        "histofactor.errors",
    ),
}
__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name == "__version__":  # as the build told it, see pyproject.toml
        from importlib.metadata import version

        return version("histofactor")
    if name not in _HOME:
        raise AttributeError(f"module 'histofactor' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
