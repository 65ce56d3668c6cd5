"""Where the command begins: from here on an interruption (Ctrl-C) ends in one line, whatever is at work or imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_INTERRUPTED = 130  # as shells tell SIGINT


def main() -> None:
    """Run the command line; Ctrl-C at any moment ends it with exit code 130 and no traceback."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, as behind nohup
        _run()
        return
    sys.unraisablehook = _on_unraisable
    signal.signal(signal.SIGINT, _on_interrupt)
    try:
        _run()
    except KeyboardInterrupt:
        _leave()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done: nothing is left to be told


def _run() -> None:
    from histofactor.cli.main import main as run

    run()


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    """Let the program tidy up, but amid an import, where libraries make other errors of an interruption or print it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _leave()
        frame = frame.f_back
    raise KeyboardInterrupt


def _on_unraisable(what: UnraisableHookArgs) -> None:
    """End where the interpreter would drop an interruption and go on, as in callbacks of the garbage collector."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        _leave()
    sys.__unraisablehook__(what)


def _leave() -> None:
    """End at once; whatever was under way can be killed at any moment."""
    os.write(2, b"interrupted\n")
    os._exit(_INTERRUPTED)
