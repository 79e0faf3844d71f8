"""A host that goes away and comes back, and remembers what it was asked: a TCP proxy in front of the stack."""

import base64
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import h11

KEPT = frozenset(
    "content-type content-encoding authorization x-api-key x-write-key idempotency-key origin anonymousid user-agent "
    "x-anonymous-id x-external-id posthog-request-id posthog-attempt posthog-request-timestamp posthog-sdk-info "
    "access-control-request-headers access-control-request-method".split()
)
"""Headers that a recording keeps: those that an edge may look at."""


@dataclass(slots=True)
class Request:
    at_ms: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(slots=True)
class _Connection:
    sockets: tuple[socket.socket, socket.socket]
    sent: list[tuple[float, bytes]] = field(default_factory=list)


class Proxy:
    """Bytes both ways while it is there; while it is away, connections are cut and refused."""

    def __init__(self, upstream: int, tls: ssl.SSLContext | None = None) -> None:
        self._upstream = upstream
        self._tls = tls
        self._connections: list[_Connection] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self.back()

    def back(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def away(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for connection in self._connections:
                for end in connection.sockets:
                    _cut(end)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self._tls is not None:
                try:
                    client = self._tls.wrap_socket(client, server_side=True)
                except OSError:
                    client.close()
                    continue
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            connection = _Connection((client, server))
            with self._lock:
                self._connections.append(connection)
            if self._listener is not listener:
                _cut(client)
            threading.Thread(target=_carry, args=(connection,), daemon=True).start()

    def requests(self) -> list[Request]:
        """All that were complete, in the order of their last byte."""
        with self._lock:
            requests = [request for connection in self._connections for request in _parsed(connection.sent)]
        return sorted(requests, key=lambda request: request.at_ms)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _carry(connection: _Connection) -> None:
    client, server = connection.sockets
    answers = threading.Thread(target=_pump, args=(server, client, None), daemon=True)
    answers.start()
    _pump(client, server, connection.sent)
    answers.join(30)
    client.close()
    server.close()


def _pump(source: socket.socket, target: socket.socket, kept: list[tuple[float, bytes]] | None) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if kept is not None:
                kept.append((time.time(), data))
            target.sendall(data)
    _cut(target)
    _cut(source)


def _parsed(sent: list[tuple[float, bytes]]) -> Iterator[Request]:
    """The requests of one connection; what follows on a broken one is left out."""
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    at, current = 0.0, None
    chunks = iter(sent)
    with suppress(h11.RemoteProtocolError):
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                at, data = next(chunks, (0.0, b""))
                if not data:
                    return
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                headers = {k.decode(): v.decode("latin-1") for k, v in event.headers if k.decode() in KEPT}
                current = Request(0, event.method.decode(), event.target.decode(), headers)
            elif isinstance(event, h11.Data) and current is not None:
                current.body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and current is not None:
                current.at_ms = int(at * 1000)
                yield current
                # answers go their own way, so the parser is told of one for its state alone
                parser.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                parser.send(h11.EndOfMessage())
                if parser.our_state is h11.MUST_CLOSE:
                    return
                parser.start_next_cycle()
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return


@contextmanager
def proxy_to(port: int, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    proxy = Proxy(port, tls)
    try:
        yield proxy
    finally:
        proxy.away()


def save(path: Path, head: dict[str, object], requests: list[Request]) -> None:
    """A recording: one JSON value, packed, the same bytes for the same requests."""
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [{**asdict(request), "body": base64.b64encode(request.body).decode()} for request in requests]
    text = json.dumps({**head, "requests": listed}, separators=(",", ":"), sort_keys=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def load(path: Path) -> tuple[dict[str, object], list[Request]]:
    value = json.loads(gzip.decompress(path.read_bytes()))
    requests = [Request(**{**fields, "body": base64.b64decode(fields["body"])}) for fields in value.pop("requests")]
    return value, requests
