"""The views of a window: turned and moved, so that no token border stays where it is."""

from __future__ import annotations

from dataclasses import replace

from histofactor.records import WindowRule
from histofactor.slides.geometry.windows import Window


def cell_px(patch_px: int, views: int) -> int:
    """Working px per grid cell: a patch, or half of one where views are moved by half patches."""
    return patch_px // 2 if views > 1 and patch_px % 2 == 0 else patch_px


def rule_of_views(rule: WindowRule, patch_px: int, views: int) -> WindowRule:
    """The rule by which windows are laid out and blended, where halves of tokens are told from two tokens.

    Where a halo is discarded it grows by a token, so that the outermost half still has both.
    """
    if not rule.halo_px or cell_px(patch_px, views) == patch_px:
        return rule
    halo_px = rule.halo_px + patch_px
    return replace(rule, halo_px=halo_px, overlap_px=max(rule.overlap_px, 2 * halo_px))


def views_of(window: Window, views: int, half_px: int) -> tuple[Window, ...]:
    """The views of a window that are averaged, every one turned and moved in its own way.

    Turning makes responses forget directions, which no phenotype has; moving puts token borders elsewhere. An encoder
    that merges px two by two, or takes every second one, answers differently to the other px. So the four views begin
    at even and at odd px in every combination of the two axes, and do so too as the encoder sees them, for which a
    quarter turn makes even px odd along one axis. No move differs from halves of a patch by more than a px, and
    together they make up the same.

    Args:
        window: as laid out.
        views: 1, the window itself; or 4.
        half_px: half a patch in working px, 0 where patches cannot be halved.
    """
    px = int(half_px > 0 and half_px % 2 == 0)
    moves = ((0, 0), (half_px - px, px), (half_px, half_px - px), (px, half_px))[:views]
    return tuple(replace(window, x=window.x - x, y=window.y - y, turns=turns) for turns, (x, y) in enumerate(moves))
