"""A visit in; the live page, its stream of rows, one event in full, or a repeat of the event, out."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response, StreamingResponse

from schemas.control.access import Principal
from schemas.control.control_state import ControlState
from schemas.errors import ApiError
from schemas.limits import LIVE_STATES, MOST_LIVE_S
from schemas.service.clock import now_ms
from schemas.times import iso, parse_time
from sinks.console.live import filters
from sinks.console.live.detail import again, curl_of, sql_of
from sinks.console.live.feed import LiveFeed
from sinks.console.live.lines import MOST_OF_WORKSPACE, lines
from sinks.console.live.rows import LiveRow
from sinks.console.live.viewer import LiveViewer
from sinks.console.live.way import way_of
from sinks.console.web import api
from sinks.console.web.visit import Visit

PATH = "/console/live"
SCOPE = "contacts:read"
MOST_VIEWERS = 100
HEARTBEAT_S = 15
GATHER_S = 0.06
HINT_AFTER_S = 20.0
HINT_EVERY_S = 5.0
CHECK_S = 2.0


class LivePages:
    def __init__(self, feed: LiveFeed, control: ControlState) -> None:
        self._feed = feed
        self._control = control

    async def page(self, visit: Visit) -> Response:
        chosen = filters.filter_of(visit.query)._asdict() if visit.may(SCOPE) else {}
        query = {name: value for name, value in chosen.items() if value}
        values: dict[str, Any] = {"filter": chosen, "query": query, "states": LIVE_STATES, "keys": []}
        if chosen and visit.may("admin"):
            values["keys"] = await _suggested_keys(visit.api)
        return visit.page("live.html", title="Live", base=visit.base, **values)

    async def stream(self, visit: Visit) -> Response:
        """Streams rows while the browser listens and its key is valid."""
        if len(self._feed.board.viewers) >= MOST_VIEWERS:
            raise ApiError("rate_limited", f"{MOST_VIEWERS} browsers watch already")
        viewer = LiveViewer(
            workspace=visit.principal.workspace,
            environment=visit.environment,
            filter=filters.filter_of(visit.query),
            sees_strangers=visit.may("instance"),
        )
        last = visit.request.headers.get("last-event-id", "")
        since_ms = int(last) - 2000 if last.isascii() and last.isdigit() and len(last) < 16 else None
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return EventSourceResponse(
            self._messages(visit, viewer, since_ms), headers=headers, ping=HEARTBEAT_S, send_timeout=10
        )

    def lines(self, principal: Principal, is_valid: Callable[[], bool], query: Mapping[str, str]) -> Response:
        """Streams JSON lines to programs; raises ``ApiError`` (422, 429)."""
        watching = self._feed.board.viewers
        mine = sum(other.workspace == principal.workspace and other.is_program for other in watching)
        if len(watching) >= MOST_VIEWERS or mine >= MOST_OF_WORKSPACE:
            raise ApiError("rate_limited", "too many streams are open; one frees its place half a minute after its end")
        viewer = LiveViewer(
            workspace=principal.workspace,
            environment=principal.environment,
            filter=filters.filter_of(query),
            sees_strangers="instance" in principal.scopes,
            is_program=True,
        )
        seconds = query.get("seconds", str(MOST_LIVE_S))
        if not (seconds.isascii() and seconds.isdigit() and 1 <= int(seconds[:6]) <= MOST_LIVE_S):
            raise ApiError("invalid_field", f"seconds must be a number from 1 to {MOST_LIVE_S}", "seconds")
        since = query.get("since", "")
        is_number = since.isascii() and since.isdigit() and len(since) < 16
        since_ms = parse_time(int(since) if is_number else since) if since else None
        if since and since_ms is None:
            raise ApiError("invalid_field", "since must be ISO 8601, or unix seconds or milliseconds", "since")
        body = lines(
            self._feed,
            viewer,
            since_ms,
            until_s=time.monotonic() + int(seconds),
            is_valid=is_valid,
            segments=self._control.segments[principal.workspace, principal.environment],
        )
        return StreamingResponse(body, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})

    async def _messages(self, visit: Visit, viewer: LiveViewer, since_ms: int | None) -> AsyncIterator[ServerSentEvent]:
        began, hinted, checked, shown, shown_share = time.monotonic(), 0.0, 0.0, 0, 1.0
        names = self._control.segments[viewer.workspace, viewer.environment]
        async with self._feed.watching(viewer, since_ms):
            yield ServerSentEvent("", event="headwater:listening", id=str(now_ms()))
            while True:
                await self._feed.wait(1.0)
                await asyncio.sleep(GATHER_S)
                now = time.monotonic()
                if now - checked > CHECK_S:
                    checked = now
                    if self._control.key(visit.session.key, now_ms()) is None:
                        yield ServerSentEvent("", event="headwater:bye")
                        return
                rows, hidden = viewer.take()
                shown += len(rows)
                hint = None
                if not shown and now - began > HINT_AFTER_S and now - hinted > HINT_EVERY_S:
                    hinted, hint = now, self._seen_instead(viewer)
                share = self._feed.share
                if not rows and not hidden and hint is None and share == shown_share:
                    continue
                shown_share = share
                # the oldest first: the page puts each on top of the list without looking at the others
                rows.sort(key=lambda row: row.place)
                values = {"rows": rows, "hidden": hidden, "share": share, "hint": hint, "names": names}
                text = visit.templates.render("live_rows.html", {**values, "iso": iso})
                yield ServerSentEvent(text, id=str(now_ms()), sep="\n")

    def _seen_instead(self, viewer: LiveViewer) -> dict[str, Any]:
        seen = self._feed.board.seen
        elsewhere = {
            environment: count
            for (workspace, environment), count in seen.items()
            if workspace == viewer.workspace and environment not in ("", viewer.environment)
        }
        strangers = seen["", ""] if viewer.sees_strangers else 0
        return {"elsewhere": elsewhere, "strangers": strangers, "filtered": viewer.elsewhere - sum(elsewhere.values())}

    async def detail(self, visit: Visit) -> Response:
        """Shows one row in full: the API's event, and the live facts about it."""
        row = self._row(visit, visit.request.path_params["id"])
        event_id = row.event_id if row is not None else visit.query.get("event", "")
        if row is None and not event_id:
            raise ApiError("not_found", "this row is not kept any more")
        event = await visit.api.find(api.path("events", event_id)) if event_id else None
        trace = await visit.api.find(api.path("events", event_id, "trace")) if event is not None else None
        contact = identity = None
        if event is not None and event["contact_id"]:
            contact = await visit.api.find(api.path("contacts", event["contact_id"]))
            identity = await visit.api.find(api.path("contacts", event["contact_id"], "identity"))
        values: dict[str, Any] = {
            "row": row,
            "event": event,
            "way": way_of(trace),
            "contact": contact,
            "evidence": _evidence(identity, event_id),
            "changes": await self._changes(visit, row, event),
            "sql": sql_of(visit.principal.workspace, visit.environment, event_id),
            "curl": curl_of(visit.base, visit.session.key, event) if event is not None else "",
            "iso": iso,
        }
        is_fragment = "hx-request" in visit.request.headers
        return visit.page("live_detail.html" if is_fragment else "live_detail_page.html", title="Event", **values)

    async def again(self, visit: Visit) -> Response:
        """Sends the same event with a new id."""
        form = await visit.form()
        event = await visit.api.get(api.path("events", form.get("event_id", "")))
        sent = await visit.api.send("POST", api.path("events"), again(event))
        return visit.page("live_sent.html", sent=sent, title="Sent")

    async def _changes(self, visit: Visit, row: LiveRow | None, event: Any) -> list[dict[str, Any]]:
        """Returns the memberships that the event changed, each with the present leaves of its rule."""
        if row is None or not visit.may("segments:read") or event is None or not event["contact_id"]:
            return []
        segments = self._control.segments[row.workspace, row.environment]
        changes = []
        for segment_id, member in row.segments[:10]:
            why = None
            if segment_id in segments and segments[segment_id].kind == "rule":
                place = api.path("segments", segment_id, "explain")
                why = await visit.api.send("POST", place, {}, contact=event["contact_id"])
            name = segments[segment_id].name if segment_id in segments else segment_id
            changes.append({"id": segment_id, "name": name, "member": member, "why": why})
        return changes

    def _row(self, visit: Visit, row_id: str) -> LiveRow | None:
        """Returns the row if it belongs to the visitor's workspace."""
        row = self._feed.board.row(row_id)
        if row is None or not LiveViewer(visit.principal.workspace, "", sees_strangers=visit.may("instance")).owns(row):
            return None
        return row if row.environment in ("", visit.environment) else None


def _evidence(identity: Any, event_id: str) -> list[dict[str, Any]]:
    """Returns the identifiers of a contact; those that this event links come first."""
    identifiers = identity["identifiers"] if identity is not None else []
    tied = [
        {**identifier, "here": any(e["event_id"] == event_id for e in identifier["evidence"])}
        for identifier in identifiers
    ]
    return sorted(tied, key=lambda identifier: not identifier["here"])[:50]


async def _suggested_keys(connection: api.Api) -> list[dict[str, Any]]:
    """Returns keys to suggest as a filter; none if the call fails, since the page is of use without them."""
    try:
        listed = await connection.get(api.path("keys"), limit="100")
    except ApiError:
        return []
    keys: list[dict[str, Any]] = listed["data"]
    return keys
