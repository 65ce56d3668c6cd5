"""Records that a notebook shows as pictures and tables, which rooms above them draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histofactor.records.outward import public
from histofactor.records.shown import Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Drawn(Shown):
    """A record that ``histofactor.to_html`` and ``histofactor.plot`` draw."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """What a notebook shows: ``histofactor.to_html``."""
        html: str = public("to_html")(self)
        return html

    def plot(self, axes: Axes | None = None, **how: Any) -> Axes:
        """Draw it with matplotlib: ``histofactor.plot``."""
        drawn: Axes = public("plot")(self, axes, **how)
        return drawn
