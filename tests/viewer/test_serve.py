"""The server as a whole: its port, its warnings, and a client of its own."""

import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress

import pytest
import uvicorn

from histofactor.errors import OptionError
from histofactor.viewer import serve as module
from histofactor.viewer.serve import ServeOptions, _listening, serve

RUN = "from histofactor.cli.main import main; main()"


def run_until_ready(monkeypatch, out, **options):
    """Serve until it is ready; returns the address and what was told."""
    told = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr(module, "static_files", lambda: {module.OPENSEADRAGON: (b"", "")})
    serve(out, ServeOptions(on_ready=lambda *ready: told.append(ready), **options))
    return told[0]


def test_it_listens_on_this_machine_and_tells_a_token(monkeypatch, study):
    address, notes = run_until_ready(monkeypatch, study[0], port=0)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/\?token=[\w-]{43}", address)
    assert notes == []
    assert run_until_ready(monkeypatch, study[0], port=0)[0].split("=")[1] != address.split("=")[1]


def test_another_address_is_warned_of(monkeypatch, study):
    address, (warning, elsewhere) = run_until_ready(monkeypatch, study[0], port=0, host="0.0.0.0")
    assert address.startswith("http://127.0.0.1:")  # one that can be opened
    assert "IP address of this machine in the place of 127.0.0.1" in elsewhere
    assert warning.startswith("warning: listening at 0.0.0.0")
    assert "not encrypted" in warning


def test_a_port_in_use_is_one_message_and_another_is_taken_unasked(monkeypatch, study):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"cannot listen at port {port}") as error:
            run_until_ready(monkeypatch, study[0], port=port)
        assert "--port" in error.value.mend
        monkeypatch.setattr(module, "PORT", port)
        with _listening("127.0.0.1", None) as free:
            assert free.getsockname()[1] != port
            assert free.proto == socket.IPPROTO_TCP  # else every answer waits 40 ms for an acknowledgement


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such wait")
def test_a_port_is_free_again_as_soon_as_the_viewer_has_ended():
    with _listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            listener.accept()[0].close()  # who closes first keeps the port waiting
            assert client.recv(1) == b""
    with _listening("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port
        with pytest.raises(OptionError, match="cannot listen"), _listening("127.0.0.1", port):
            pass


def test_an_address_that_is_not_ours_is_one_message(monkeypatch, study):
    with pytest.raises(OptionError, match="cannot listen"):
        run_until_ready(monkeypatch, study[0], port=0, host="192.0.2.1")


def test_an_installation_without_the_library_says_how_to_mend_it(monkeypatch, study):
    monkeypatch.setattr(module, "static_files", dict)
    with pytest.raises(OptionError, match="OpenSeadragon is missing") as error:
        serve(study[0], ServeOptions())
    assert "npm" in error.value.mend


def asked(port, request):
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(request)
        sock.settimeout(10)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer


@pytest.mark.skipif(module.OPENSEADRAGON not in module.static_files(), reason="needs OpenSeadragon, which npm brings")
def test_the_command_answers_its_own_host_alone_and_ends_when_asked(study):
    """Bytes on a socket, as no client would send them."""
    command = [sys.executable, "-c", RUN, "view", str(study[0]), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            port, token = re.search(r"127\.0\.0\.1:([0-9]+)/\?token=(\S+)", line).groups()
            cookie = f"Cookie: histofactor-{port}={token}\r\n"
            ours = f"GET /api/study HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cookie}Connection: close\r\n\r\n"
            assert asked(int(port), ours.encode()).startswith(b"HTTP/1.1 200")
            for host in ("Host: evil.example\r\n", f"Host: evil.example:{port}\r\n", "", "Host: \r\n"):
                theirs = f"GET /api/study HTTP/1.1\r\n{host}{cookie}Connection: close\r\n\r\n"
                assert re.match(rb"HTTP/1.1 (400|421)", asked(int(port), theirs.encode())), host
            absolute = (
                f"GET http://evil.example/api/study HTTP/1.1\r\nHost: evil.example\r\n{cookie}Connection: close\r\n\r\n"
            )
            assert re.match(rb"HTTP/1.1 (400|404|421)", asked(int(port), absolute.encode()))
            long = f"GET /tiles/a/b/{'9' * 200_000}_0_0.jpg HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cookie}\r\n"
            with suppress(ConnectionResetError):  # hung up on before all was sent
                assert re.match(rb"HTTP/1.1 4", asked(int(port), long.encode()))
            assert asked(int(port), ours.encode()).startswith(b"HTTP/1.1 200")
            socket_ = (
                f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cookie}Upgrade: websocket\r\nConnection: Upgrade\r\n"
            )
            websocket = f"{socket_}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            with socket.create_connection(("127.0.0.1", int(port)), 5) as sock:
                sock.sendall(websocket.encode())
                assert b"101 Switching" not in sock.recv(4096)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) in (0, 130)
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()
