"""Options of where inputs are worked on, which several verbs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from histofactor.cli.options import taking

if TYPE_CHECKING:
    from histofactor.runs.execute.engine import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """Where inputs are worked on, as the options of a verb say it."""

    engine: Annotated[
        str, typer.Option(help="local: one input after another; ray: many at a time, on this machine or a cluster.")
    ] = "local"
    address: Annotated[
        str | None,
        typer.Option(metavar="auto|HOST:PORT", help="Ray cluster to work on; default: Ray is started on this machine."),
    ] = None
    workers: Annotated[
        int | None, typer.Option(help="Inputs that Ray works on at a time; default: one a GPU, else one for two cores.")
    ] = None
    gpus_per_worker: Annotated[
        float | None, typer.Option(help="GPUs of a worker, or the share of one; default: 1 where there are GPUs.")
    ] = None
    slide_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Give up an input that takes longer; default: never.")
    ] = None
    memory_per_worker: Annotated[
        float | None, typer.Option(metavar="GB", help="End a worker that takes more memory; default: no limit.")
    ] = None

    def asked(self, device: str = "auto") -> Engine:
        """The engine that is asked for.

        Args:
            device: where encoders run; workers that run them on the CPU have no GPUs.

        Raises:
            OptionError: it is unknown, a value is out of range, or is for another engine.
        """
        from histofactor.runs.execute.engine import Engine, check_engine

        gpus = self.gpus_per_worker
        if gpus is None and self.engine == "ray" and device == "cpu":
            gpus = 0.0
        engine = Engine(
            name=self.engine,
            address=self.address,
            workers=self.workers,
            gpus_per_worker=gpus,
            slide_timeout_s=self.slide_timeout,
            memory_gb=self.memory_per_worker,
        )
        check_engine(engine)
        return engine


engine_options = taking(EngineChoice, "by")
