"""A server that fails as told, in front of a sound one."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

MODES = ["403", "429", "500", "dropped", "dropped after the write", "slow", "silent"]


class Faulty(ThreadingHTTPServer):
    """Passes requests on to `behind`, unless `mode` is one of MODES.

    Attributes:
        seconds: that a request takes where it is slow.
    """

    daemon_threads = True

    def __init__(self, behind: str):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.mode, self.seconds = urlsplit(behind).netloc, "", 2.0
        self.uri = f"http://127.0.0.1:{self.server_port}"
        self.ended = threading.Event()

    def handle_error(self, request: object, address: object) -> None:
        """A client that goes away in the middle is what is tried."""


class Handler(BaseHTTPRequestHandler):
    server: Faulty
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        mode = self.server.mode
        if mode == "silent":
            self.server.ended.wait(600)
        if mode in ("dropped", "silent"):
            self.close_connection = True
            return
        if mode.isdigit():
            self.respond(int(mode), b'{"error_code": "INTERNAL_ERROR", "message": "out of order"}', "application/json")
            return
        if mode == "slow":
            time.sleep(self.server.seconds)
        connection = http.client.HTTPConnection(self.server.behind, timeout=60)
        headers = {name: given for name, given in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body, headers)
        found = connection.getresponse()
        content = found.read()
        connection.close()
        if mode == "dropped after the write":
            self.close_connection = True
            return
        self.respond(found.status, content, found.getheader("Content-Type") or "text/plain")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def respond(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def faulty(behind: str) -> Iterator[Faulty]:
    server = Faulty(behind)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
