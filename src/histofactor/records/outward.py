"""What records offer as methods and rooms above them do: functions of the public surface, by their names."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def public(name: str) -> Any:
    """A name of ``histofactor``, loaded when it is asked for; records know nothing of the room that it comes from."""
    return getattr(import_module("histofactor"), name)
