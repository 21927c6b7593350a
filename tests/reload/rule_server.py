"""A web server on 127.0.0.1 that hands out one bundle, with an ETag, and misbehaves where a test asks it to."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Serving:
    """What the server hands out, and what it was asked."""

    data: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    is_compressed: bool = False
    cut_off: bool = False
    is_endless: bool = False
    is_silent: bool = False
    """Whether it never answers, until its client goes away."""
    asked: list[str | None] = field(default_factory=list)
    """The If-None-Match of each request."""
    answered: list[int] = field(default_factory=list)
    address: str = ""


@contextmanager
def rule_server(data: bytes = b"") -> Iterator[Serving]:
    """Serve while the block runs."""
    serving = Serving(data)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tag = f'"{hashlib.sha256(serving.data).hexdigest()}"'
            wanted = self.headers.get("If-None-Match")
            serving.asked.append(wanted)
            status = 304 if serving.status == 200 and wanted == tag else serving.status
            serving.answered.append(status)
            if serving.is_silent:
                self.connection.recv(1)
                self.close_connection = True
                return
            if serving.is_endless:
                self._go_on_for_ever()
                return
            body = serving.data if status == 200 else b""
            if serving.is_compressed:
                body = gzip.compress(body)
            self.send_response(status)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body)))
            if serving.is_compressed:
                self.send_header("Content-Encoding", "gzip")
            for name, value in serving.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if serving.cut_off else body)
            self.close_connection = serving.cut_off

        def _go_on_for_ever(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has heard enough
                while True:
                    self.wfile.write(b" " * 65536)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving.address = f"http://127.0.0.1:{server.server_address[1]}/prod.json"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield serving
        finally:
            server.shutdown()
            thread.join()
