"""What QuPath 0.6 takes of GeoJSON, as its readers have it: ``QuPathTypeAdapters``, ``GsonTools``, ``PathClass``."""

import math
import uuid

from shapely.geometry import shape

TYPES = {"annotation", "detection", "tile", "cell", "tmaCore", "root"}
POLYGONS = {"Polygon": 1, "MultiPolygon": 2}
DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}


def refusal(feature):
    """What QuPath would refuse or drop of a feature, or ""."""
    try:
        uuid.UUID(feature["id"])
    except ValueError:
        return "an id that is no UUID is ignored"
    properties = feature["properties"]
    if properties["objectType"] not in TYPES:
        return "an unknown type becomes an annotation"
    found = _classification(properties["classification"]) or _geometry(feature["geometry"])
    if found:
        return found
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in properties["measurements"].values()):
        return "a measurement that is no number"
    if not all(isinstance(one, str) for one in properties.get("metadata", {}).values()):
        return "metadata that is no text"
    return ""


def _classification(told):
    if isinstance(told, dict) and "color" not in told:
        return "a class without a colour throws"
    color, name = told["color"], told["name"]
    if len(color) != 3 or not all(isinstance(one, int) and 0 <= one <= 255 for one in color):
        return "a colour that is none"
    if any(not part.strip() for part in name.split(":")):
        return "a class with an empty part"
    if any(character in name for character in "\n\r") or any(0xD800 <= ord(one) <= 0xDFFF for one in name):
        return "a name with characters that are refused"
    return "" if name == ": ".join(part.strip() for part in name.split(":")) else "a name that is changed"


def _geometry(geometry):
    if geometry["type"] not in DEPTH:
        return "a collection of geometries throws"
    if not _numbers(geometry["coordinates"], DEPTH[geometry["type"]]):
        return "coordinates that are none"
    polygons = {1: [geometry["coordinates"]], 2: geometry["coordinates"]}.get(POLYGONS.get(geometry["type"]), [])
    rings = [ring for polygon in polygons for ring in polygon]
    if any(len(ring) < 4 or ring[0] != ring[-1] for ring in rings):
        return "a ring that is not closed"
    rounded = shape(geometry)  # QuPath rounds to 0.01 px, which whole px stay at
    return "" if rounded.is_valid and rounded.is_simple else "a geometry that is not valid"


def _numbers(coordinates, depth):
    if not isinstance(coordinates, list) or not coordinates:
        return False
    if depth:
        return all(_numbers(one, depth - 1) for one in coordinates)
    return len(coordinates) == 2 and all(isinstance(one, int | float) and math.isfinite(one) for one in coordinates)
