"""A gate before a real engine that loses bulk requests, asks for a login, or is something else."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests


class Gate(ThreadingHTTPServer):
    """Passes on what it is asked; `bulks` counts the bulk requests so far."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.engine = url
        self.bulks = 0
        self.breaks_at: int | None = None
        self.swallows: int | None = None
        self.refuses: str | None = None
        self.login: str | None = None
        self.says: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        self.passed_on()

    do_POST = do_PUT = do_DELETE = do_GET

    def passed_on(self) -> None:
        gate, body = self.server, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        gate.bulks += "_bulk" in self.path
        if gate.breaks_at is not None and gate.bulks >= gate.breaks_at:
            self.close_connection = True  # without an answer, from here on
        elif gate.login is not None and self.headers.get("Authorization") != basic(gate.login):
            self.answer(401, b'{"error": "who are you?"}')
        elif gate.says is not None:
            self.answer(200, gate.says.encode())
        elif self.command == gate.refuses:
            self.answer(503, b'{"error": "not now"}')
        elif gate.swallows == gate.bulks and "_bulk" in self.path:
            self.answer(200, b'{"errors": false, "items": []}')
        else:
            kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            url = gate.engine + self.path
            found = requests.request(self.command, url, data=body, headers=kind, timeout=60)
            self.answer(found.status_code, found.content)

    def answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def basic(login: str) -> str:
    return "Basic " + b64encode(login.encode()).decode()


@contextmanager
def gate_before(url: str) -> Iterator[Gate]:
    gate = Gate(url)
    thread = Thread(target=gate.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield gate
    finally:
        gate.shutdown()
        gate.server_close()
        thread.join()
