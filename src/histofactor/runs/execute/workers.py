"""The workers of the engine that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from histofactor.runs.execute.engine import Engine, Workers, check_engine
from histofactor.runs.execute.local import LocalWorkers


@contextmanager
def open_workers(engine: Engine) -> Iterator[Workers]:
    """Yield workers, which are gone when the block ends.

    Raises:
        OptionError: as ``check_engine``.
    """
    check_engine(engine)
    yield LocalWorkers()
