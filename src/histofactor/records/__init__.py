"""The records that flow through histofactor. Shapes and units are defined here, once.

Frames: ``l0`` is level 0 of the input, ``t`` the working (target) resolution, ``g`` the token grid.
Positions are (x, y), sizes (width, height), arrays [row, column]. Colours are 8-bit sRGB triples.
"""

from histofactor.records.concepts import Centring, ConceptBank, Leaves, SlideMean
from histofactor.records.features import EncoderKey, EncoderSpec, Features, WeightsSource, WindowRule
from histofactor.records.images import Color, Float, Raster, Region, SlideInfo
from histofactor.records.results import LabelMap, Segmentation, TokenMaps, Weights

__all__ = [
    "Centring",
    "Color",
    "ConceptBank",
    "EncoderKey",
    "EncoderSpec",
    "Features",
    "Float",
    "LabelMap",
    "Leaves",
    "Raster",
    "Region",
    "Segmentation",
    "SlideInfo",
    "SlideMean",
    "TokenMaps",
    "Weights",
    "WeightsSource",
    "WindowRule",
]
