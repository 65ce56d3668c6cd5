"""The workers of the engine that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from histofactor.runs.execute.engine import Engine, Workers, check_engine
from histofactor.runs.execute.local import LocalWorkers
from histofactor.runs.execute.ray_cluster import open_cluster


@contextmanager
def open_workers(engine: Engine) -> Iterator[Workers]:
    """Yield workers, which are gone when the block ends.

    Raises:
        OptionError: as ``check_engine``, or Ray is not installed.
        EngineError: the cluster cannot be had, or has no room for the workers.
    """
    check_engine(engine)
    if engine.name == "local":
        yield LocalWorkers()
        return
    with open_cluster(engine.address, engine.workers) as cluster:
        from histofactor.runs.execute.ray import RayWorkers  # loads Ray

        workers = RayWorkers(engine, cluster)
        try:
            yield workers
        finally:
            workers.stop()
