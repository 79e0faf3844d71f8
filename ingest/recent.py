"""Event ids that clients chose in, the first answer to each out: a retry is answered as its first try was."""

from typing import NamedTuple

CAPACITY = 50_000


class First(NamedTuple):
    contact_id: str
    received_ms: int


class Recent:
    """The last ``capacity`` durable events of this edge whose id came from the client.

    Best effort: it spares the pipeline most repeats. What it does not know is counted once all the same, since
    every table is keyed by event id.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._first: dict[tuple[str, str, str], First] = {}

    def get(self, workspace: str, environment: str, event_id: str) -> First | None:
        return self._first.get((workspace, environment, event_id))

    def put(self, workspace: str, environment: str, event_id: str, first: First) -> None:
        if len(self._first) >= self._capacity:
            del self._first[next(iter(self._first))]
        self._first.setdefault((workspace, environment, event_id), first)
