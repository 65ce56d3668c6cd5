"""Windows of another size than a row's own: positions are interpolated, or have no size."""

from __future__ import annotations

from dataclasses import replace

from histofactor.errors import OptionError
from histofactor.records import EncoderSpec, WindowRule

_MOST = 4096  # px; attention over more than that takes hours


def at_window(spec: EncoderSpec, window_px: int) -> EncoderSpec:
    """A row with windows of another size, that overlap by the same share.

    Args:
        spec: the row.
        window_px: side of a window, a multiple of the patch.

    Raises:
        OptionError: the network cannot be run on such windows.
    """
    rule, patch = spec.window, spec.patch_px
    if window_px == rule.size_px:
        return spec
    if not _takes_any(spec):
        raise OptionError(
            f"encoder {spec.name!r} takes windows of one size",
            expected=f"{rule.size_px} px",
            got=f"--window {window_px}",
            mend="leave --window out, or choose another encoder",
        )
    least = 2 * patch if not rule.halo_px else rule.overlap_px + 2 * patch
    if window_px % patch or not least <= window_px <= _MOST:
        raise OptionError(
            f"encoder {spec.name!r} takes no windows of {window_px} px",
            expected=f"a multiple of {patch} px from {-(-least // patch) * patch} to {_MOST // patch * patch}",
            got=f"--window {window_px}",
            mend=f"for example --window {_nearest(window_px, patch, least)}",
        )
    share = rule.overlap_px / rule.size_px
    overlap = rule.overlap_px if rule.halo_px else max(patch, round(share * window_px / patch) * patch)
    arguments = dict(spec.source.arguments)
    if spec.source.architecture == "CTransPath":  # where its attention is cut hangs on the size
        arguments["side"] = window_px
    return replace(
        spec,
        source=replace(spec.source, arguments=arguments),
        window=WindowRule(window_px, overlap, rule.halo_px, rule.fixed),
    )


def _takes_any(spec: EncoderSpec) -> bool:
    """Whether the network can be run on windows of other sizes than its own."""
    source = spec.source
    if source.library == "timm" and spec.prefix_tokens:
        return bool(source.arguments.get("dynamic_img_size")) or "dinov3" in source.architecture
    return source.library not in {"plugin", "test"} or not spec.window.fixed


def _nearest(window_px: int, patch: int, least: int) -> int:
    """The nearest size that would do."""
    whole = -(-least // patch), _MOST // patch
    return min(max(round(window_px / patch), whole[0]), whole[1]) * patch
