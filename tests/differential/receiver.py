"""A small HTTP server that plays the receiver of completion callbacks: it answers as told and keeps what it got.

Each scenario has its own, on a port of its own, so that one server's circuit breaker for it touches no other scenario.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple

from temporalio.api.common.v1 import Callback, Link, Payload

from .script import Script

UNCOMPARED = frozenset({"host", "content-length", "transfer-encoding", "user-agent", "accept-encoding", "connection"})
"""Headers of the connection and of the client's own name."""
_TIMES = {
    "nexus-operation-start-time": re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT"),
    "nexus-operation-close-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6}|\.\d{9})?Z"),
}


class Answer(NamedTuple):
    """What the receiver answers, after a pause in seconds."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0


class Request(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


class Receiver:
    """Answers each request with the next of `answers`, and the last of them from then on."""

    def __init__(self, s: Script, *answers: Answer) -> None:
        self._script = s
        self._answers = list(answers) or [Answer()]
        self._requests: list[Request] = []
        self._news = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._serve(self)

            def do_GET(self) -> None:
                receiver._serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        s.alias(self.address, "<receiver>")

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = _body(handler)
        headers = [(key.lower(), value) for key, value in handler.headers.items()]
        with self._news:
            self._requests.append(Request(handler.command, handler.path, headers, body))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            self._news.notify_all()
        time.sleep(answer.pause)
        try:
            handler.send_response(answer.status)
            for name, value in answer.headers:
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(answer.body)))
            handler.end_headers()
            handler.wfile.write(answer.body)
        except OSError:
            # The client gave up.
            handler.close_connection = True

    def callback(self, path: str = "/done", *links: Link, **header: str) -> Callback:
        """A callback to this receiver."""
        headers = {name.replace("_", "-"): value for name, value in header.items()}
        nexus = Callback.Nexus(url=f"http://{self.address}{path}", header=headers)
        return Callback(nexus=nexus, links=links)

    def await_requests(self, count: int, seconds: float = 15.0) -> None:
        """Wait until so many requests have come, or stop the scenario."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._requests) >= count, seconds):
                raise self._script.stop(f"{len(self._requests)} of {count} requests came")

    def record(self, count: int) -> None:
        """Write what has come into the transcript, in the order of arrival."""
        self.await_requests(count)
        self._write(self._requests)

    def record_sorted(self, count: int) -> None:
        """The same by path: requests to one receiver overtake each other."""
        self.await_requests(count)
        self._write(sorted(self._requests, key=lambda request: request.path))

    def record_rest(self) -> None:
        """Write what has come by now, by path and content: nobody waits."""
        self._write(sorted(self._requests, key=lambda request: (request.path, request.body)))

    def _write(self, requests: list[Request]) -> None:
        for request in requests:
            self._script.section(f"{request.method} {request.path}")
            for line in sorted(_line(name, value) for name, value in request.headers if name not in UNCOMPARED):
                self._script.fact("header", line)
            self._script.fact("body", _shown(request.body, dict(request.headers).get("content-type", "")))
        self._script.fact("requests", len(self._requests))


def _line(name: str, value: str) -> str:
    shape = _TIMES.get(name)
    if shape is not None:
        return f"{name}: {'<time>' if shape.fullmatch(value) else value}"
    return f"{name}: {value}"


def _shown(body: bytes, content_type: str) -> str:
    """JSON and payloads by their content: the order of keys and blanks are the encoder's own."""
    if content_type == "application/x-temporal-payload":
        payload = Payload.FromString(body)
        return str((sorted(payload.metadata.items()), payload.data))
    try:
        return json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    length = handler.headers.get("content-length")
    if length is not None:
        return handler.rfile.read(int(length))
    if handler.headers.get("transfer-encoding", "").lower() != "chunked":
        return b""
    body = b""
    while True:
        size = int(handler.rfile.readline(), 16)
        body += handler.rfile.read(size)
        handler.rfile.readline()
        if not size:
            return body
