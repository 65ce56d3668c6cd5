"""Images and rules that windows are laid out by."""

from pathlib import Path

from hypothesis import strategies as st

from histofactor.records import SlideInfo, WindowRule

sizes = st.integers(1, 3000)
rules = st.sampled_from(
    [
        WindowRule(224, 112),
        WindowRule(224, 0),
        WindowRule(512, 192, 96, fixed=False),
        WindowRule(1024, 256, 64, fixed=False),
    ]
)


def info(width, height, mpp):
    """What is known of a plain image."""
    return SlideInfo(Path("x.png"), (width, height), mpp, (1.0,), "test")
