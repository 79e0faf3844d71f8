"""The harness's side of a journey: an address that a program calls at the steps which are not its own, and pages.

``/away`` takes the host away, ``/back`` brings it back, ``/done`` is where a browser goes as its page closes. Each
answers when what came before has been stored, or has had its time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Step = Callable[[], None]


@contextmanager
def serve(steps: dict[str, Step], files: dict[str, bytes]) -> Iterator[str]:
    """A page's origin, which is not the stack's."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path in steps:
                steps[path]()
            body = files.get(path, b"ok" if path in steps else b"")
            self.send_response(200 if body else 404)
            self.send_header(
                "Content-Type", "text/html; charset=utf-8" if not path.endswith(".js") else "text/javascript"
            )
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
