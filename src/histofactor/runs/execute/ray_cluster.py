"""The Ray that workers run on: one that is there, or one of this run's own, which ends with it."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histofactor.base.extras import install
from histofactor.errors import EngineError, OptionError

_WATCH = Path(__file__).with_name("ray_watch.py")
_ANSWERS_S = 5.0  # within which a cluster must answer
_STORE_BYTES = 128 * 2**20  # of objects: paths and outcomes, and samples of a few MB
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # nor is the working folder copied to other machines
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # workers without a GPU of their own see what the machine shows
}
_TOKEN = secrets.token_hex(32)  # of every Ray that this process starts: Ray reads it once
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # RFC 9113, 3.4, and empty settings


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray that answers.

    Attributes:
        own: whether it was started for this run alone.
        tell: takes the number of a process that must not stay longer than this one.
    """

    own: bool
    watcher: subprocess.Popen[str] | None = None

    def tell(self, pid: int) -> None:
        """Let a process of an own Ray end with this one, whatever happens."""
        if self.watcher is not None and self.watcher.stdin is not None:
            with suppress(OSError):  # the watcher was ended by someone
                self.watcher.stdin.write(f"{pid}\n")
                self.watcher.stdin.flush()

    @property
    def machines(self) -> list[Mapping[str, float]]:
        """Resources of every machine that is there."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]

    def check(self) -> None:
        """Raise EngineError where Ray on this machine has ended."""
        import ray

        node = ray.get_runtime_context().get_node_id()
        if not any(one["Alive"] for one in ray.nodes() if one["NodeID"] == node):
            raise EngineError(
                "Ray on this machine has ended",
                expected="that it stays until the work is done",
                mend="give the same command again: what is finished is kept, and it goes on from there",
            )


@contextmanager
def open_cluster(address: str | None, workers: int | None) -> Iterator[Cluster]:
    """Yield the Ray at an address, or one that is started on this machine and ended with the block.

    One that this process is connected to already is taken where no address is given, and left as it is.

    Args:
        address: ``auto`` or HOST:PORT, or None.
        workers: so many that are wanted on this machine.

    Raises:
        OptionError: Ray is not installed, or the address is none.
        EngineError: nobody answers there, or Ray cannot be started.
    """
    if address is not None:
        _check_address(address)
    ray = _import_ray()
    if address is None and ray.is_initialized():
        yield Cluster(own=False)
        return
    handler = signal.getsignal(signal.SIGTERM)
    with ExitStack() as stack:
        stack.callback(_restore, handler)  # Ray takes it
        stack.callback(ray.shutdown)
        stack.enter_context(_silent())
        yield _attached(ray, address) if address is not None else stack.enter_context(_started(ray, workers))


def _import_ray() -> Any:
    """Ray, which sends nothing anywhere and says nothing.

    Raises:
        OptionError: it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import psutil  # noqa: F401 - workers need it
        import ray
    except ImportError as error:
        raise OptionError(
            f"--engine ray needs {error.name or 'Ray'}", mend=f"{install('ray')}, on every machine"
        ) from None
    return ray


def _attached(ray: Any, address: str) -> Cluster:
    """The cluster at an address."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise EngineError(
            f"no Ray at --address {address} can be used",
            expected="a Ray cluster of the versions of Ray and Python that this machine has",
            got=" ".join(str(error).split())[:400],
            mend="start one with `ray start --head`, or leave --address out",
        ) from error
    return Cluster(own=False)


@contextmanager
def _started(ray: Any, workers: int | None) -> Iterator[Cluster]:
    """A Ray on this machine, in a folder of its own, that only this process has the token of."""
    folder = tempfile.mkdtemp(prefix="hf-ray-", dir="/tmp" if os.name == "posix" else None)  # sockets have short paths
    script = [sys.executable, "-P", str(_WATCH), folder]
    watcher = subprocess.Popen(script, stdin=subprocess.PIPE, text=True, start_new_session=True)
    cluster = Cluster(True, watcher)
    try:
        with _own_token(Path(folder)):
            try:
                ray.init(
                    address="local",
                    num_cpus=max(_cores(), workers or 1),
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    object_store_memory=_STORE_BYTES,
                    _temp_dir=folder,
                )
            except Exception as error:
                got = " ".join(str(error).split())[:400]
                raise EngineError("Ray cannot be started on this machine", got=got) from error
            _tell_parts(cluster, folder)
            yield cluster
    finally:
        _tell_parts(cluster, folder)  # also where the block ended amid the start
        ray.shutdown()
        with suppress(OSError):
            if watcher.stdin is not None:
                watcher.stdin.close()
        watcher.wait()


def _tell_parts(cluster: Cluster, folder: str) -> None:
    """Let all processes of an own Ray, which name its folder, and those that they started, end with this one."""
    import psutil

    for child in psutil.Process().children():
        with suppress(psutil.Error):  # it has ended
            if child.pid != getattr(cluster.watcher, "pid", None) and any(folder in part for part in child.cmdline()):
                for process in (child, *child.children(recursive=True)):
                    cluster.tell(process.pid)


@contextmanager
def _own_token(folder: Path) -> Iterator[None]:
    """Let nobody else on this machine or its network in, without a file in the user's home.

    Ray asks for a token unless the user says otherwise (RAY_AUTH_MODE), and makes one in the home where there is none.
    """
    before = {name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_TOKEN")}
    os.environ.pop("RAY_AUTH_TOKEN", None)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(_TOKEN)
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray from printing what workers and machines say, amid the progress; what matters is told by histofactor."""
    from ray._private import worker

    printed = getattr(worker, "print_to_stdstream", None)
    if printed is None:  # of another version of Ray
        yield
        return
    worker.print_to_stdstream = lambda *given, **more: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printed


def _check_address(address: str) -> None:
    """Raise unless there is something at an address that speaks as Ray does; asked before Ray, which waits for minutes.

    Raises:
        OptionError: it is no address.
        EngineError: nobody answers.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
        if address == "auto":  # which Ray finds, or not, at once
            return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise OptionError("--address is none", expected="auto, or HOST:PORT such as 10.0.0.1:6379", got=address)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWERS_S) as connection:
            connection.settimeout(_ANSWERS_S)
            connection.sendall(_HELLO)
            if os.environ.get("RAY_USE_TLS") == "1" or connection.recv(9)[3:4] == b"\x04":  # settings, as HTTP/2 begins
                return
            got = "another service"
    except OSError as error:
        got = error.strerror or str(error) or "no answer"
    raise EngineError(
        f"no Ray answers at --address {address}",
        expected=f"a Ray cluster, which answers within {_ANSWERS_S:g} s",
        got=got,
        mend="start one with `ray start --head`, or leave --address out",
    )


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _restore(handler: Any) -> None:
    with suppress(ValueError):  # not in the main thread, where Ray did not take it either
        signal.signal(signal.SIGTERM, handler)
