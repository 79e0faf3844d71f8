"""The address of a Headwater in; its events from the public API, as lines of `headwater tail`, out.

The server bounds the stream: at most twenty new rows a second, and the number of the others. After an interruption the
stream resumes at the last row, skips shown rows, and reports possible gaps.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cachetools import FIFOCache

from deploy.client.api import ApiUnreachableError
from deploy.client.session import api
from schemas.times import iso

MOST_KEPT = 10_000
PAUSE_S, MOST_MISSED = 1.0, 10
Row = dict[str, Any]


class ShownRows:
    """Lines of the API in; new rows, in the shape of the local tail, out."""

    def __init__(self) -> None:
        self._events: FIFOCache[str, int] = FIFOCache(MOST_KEPT)
        """How many changes of segments were shown of each event that was."""
        self.last = ""
        """The time of the newest row."""

    def rows(self, line: Mapping[str, Any]) -> Iterator[Row]:
        """Yields an event once its contact is resolved, then its entries and exits."""
        kind = line["kind"]
        if kind == "hidden":
            yield {"kind": "hidden", "at": line["at"], "rows": line["rows"]}
        if kind == "gap":
            yield {"kind": "gap", "at": line["at"], "reason": line["reason"], "since": self.last or None}
        if kind in ("hidden", "gap", "alive"):
            return
        self.last = max(self.last, line["at"])
        if kind != "event":
            if line["id"] not in self._events:
                self._events[line["id"]] = 0
                yield {**line, "kind": "quarantine" if kind == "quarantined" else kind}
            return
        if not line["resolved"]:
            return
        if line["id"] not in self._events:
            self._events[line["id"]] = 0
            names = ("event_id", "type", "environment", "contact_id", "source", "identifiers", "preview", "warnings")
            yield {
                "kind": "event",
                "at": line["at"],
                **{name: line[name] for name in (*names, "duplicate", "conflict")},
            }
        for moved in line["segments"][self._events[line["id"]] :]:
            self._events[line["id"]] += 1
            change = {"segment_id": moved["id"], "segment": moved["name"], "contact_id": line["contact_id"]}
            yield {"kind": moved["change"], "at": line["at"], **change, "event_id": line["event_id"]}


async def tail_remote(
    query: Mapping[str, str], since_s: float, for_s: float | None, show: Callable[[Row], None]
) -> None:
    """Raises ``ApiRefusedError``, and ``ApiUnreachableError`` at once, or later after ``MOST_MISSED`` failed calls."""
    position, missed, was_there, lost = ShownRows(), 0, False, 0.0
    until = None if for_s is None else time.monotonic() + for_s
    position.last = iso(round((time.time() - since_s) * 1000)) if since_s else ""
    async with api(patience=1) as client:
        while until is None or time.monotonic() < until:
            parameters = {**query, **({"since": position.last} if position.last else {})}
            if until is not None:
                parameters["seconds"] = str(max(1, round(until - time.monotonic())))
            try:
                async for line in client.lines("/v1/live", parameters):
                    if missed:
                        show({"kind": "connected", "at": line["at"], "seconds": round(time.monotonic() - lost, 1)})
                    missed, was_there = 0, True
                    for row in position.rows(line):
                        show(row)
            except ApiUnreachableError as error:
                missed += 1
                if missed >= MOST_MISSED or not was_there:
                    raise
                if missed == 1:
                    lost = time.monotonic()
                    show({"kind": "lost", "at": iso(round(time.time() * 1000)), "reason": str(error)})
                await asyncio.sleep(PAUSE_S)
