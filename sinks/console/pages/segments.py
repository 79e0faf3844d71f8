"""A visit in; the list of segments, or one with its rule as form and JSON, its live count and edits, out."""

import asyncio
import time
from typing import Any

from starlette.responses import Response

from schemas.errors import ApiError
from schemas.times import DAY_MS, HOUR_MS, parse_iso
from sinks.console.pages import figures, rule_form
from sinks.console.pages.recipes import RECIPES
from sinks.console.pages.rule_fields import KINDS
from sinks.console.pages.rule_form import RuleForm
from sinks.console.web import api
from sinks.console.web.json_field import json_field
from sinks.console.web.render import as_json
from sinks.console.web.visit import Visit

PATH = "/console/segments"
NAMES_S = 30.0
MOST_KEPT = 200
SAMPLED = 6
INTERVALS = ("minute", "hour", "day")
FIRST = {"event": "page_viewed", "within": "7d"}


class SegmentPages:
    """Keeps an environment's recent names for half a minute, as suggestions."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str, str], tuple[float, dict[str, list[str]]]] = {}

    async def segments(self, visit: Visit) -> Response:
        cursor = visit.query.get("page", "1")
        listed = await visit.api.get(api.path("segments"), limit="50", page=cursor)
        return visit.page(
            "segments.html", title="Segments", segments=listed["data"], meta=listed["meta"], recipes=RECIPES
        )

    async def new(self, visit: Visit) -> Response:
        """Shows an empty editor, or one with a recipe's rule or a rule about an event."""
        number, event = visit.query.get("recipe", ""), visit.query.get("event", "")
        name, rule = "", FIRST if not event else {"event": event[:200]}
        if number.isascii() and number.isdigit() and int(number) < len(RECIPES):
            name, rule = RECIPES[int(number)].name, RECIPES[int(number)].rule
        return await self._editor(visit, None, name, rule)

    async def segment(self, visit: Visit) -> Response:
        segment = await visit.api.get(api.path("segments", visit.request.path_params["id"]))
        members = None
        if visit.may("contacts:read"):
            members = await visit.api.get(api.path("segments", segment["id"], "contacts"), limit="20")
        return await self._editor(visit, segment, segment["name"], segment["rule"], members=members)

    async def _editor(
        self, visit: Visit, segment: Any, name: str, rule: Any, status: int = 200, **values: Any
    ) -> Response:
        form = rule_form.form_of_rule(rule)
        is_static = segment is not None and segment["kind"] == "static"
        shown = {"members": None, "refused": None, **values}
        return visit.page(
            "segment.html",
            status,
            title=name or "New segment",
            segment=segment,
            name=name,
            is_static=is_static,
            text=as_json(rule),
            recipes=RECIPES,
            preview=None,
            **await self._form_values(visit, form),
            **shown,
        )

    async def _form_values(self, visit: Visit, form: RuleForm | None) -> dict[str, Any]:
        """Returns the values of the form's template."""
        listed = await visit.api.get(api.path("segments"), limit="100")
        named = await visit.api.get(api.path("lists"), limit="100")
        return {
            "form": form,
            "lists": named["data"],
            "offered": await self._offered(visit),
            "others": listed["data"],
            **rule_form.CHOICES,
        }

    async def preview(self, visit: Visit) -> Response:
        """Renders a fragment: the count, and the editor's other side after an edit on this side."""
        fields = await visit.form()
        if fields.get("source") in ("json", "first"):
            try:
                rule = json_field(fields.get("rule", ""), "rule")
            except ApiError as refused:
                return visit.page("segment_preview.html", title="", preview=_wrong(refused), text=None, form=None)
            if fields["source"] == "first":
                # the page shows both sides already, and requests the slow count when it has loaded
                shown = await _preview(visit, rule)
                return visit.page("segment_preview.html", title="", preview=shown, text=None, form=None)
            values = await self._form_values(visit, rule_form.form_of_rule(rule))
            return visit.page(
                "segment_preview.html", title="", preview=await _preview(visit, rule), text=None, **values, renew=True
            )
        form = rule_form.form_of_fields(fields)
        changed = fields.get("add") or fields.get("drop") or fields.get("grow")
        form.grow(fields.get("grow", ""))
        if fields.get("add") in KINDS and len(form.conditions) < rule_form.MOST_CONDITIONS:
            form.conditions.append({"kind": fields["add"]})
        drop = fields.get("drop", "")
        if drop.isascii() and drop.isdigit() and int(drop) < len(form.conditions) and len(form.conditions) > 1:
            del form.conditions[int(drop)]
        rule = rule_form.rule_of(form)
        values = await self._form_values(visit, form) if changed else {"form": None}
        return visit.page(
            "segment_preview.html", title="", preview=await _preview(visit, rule), text=as_json(rule),
            **values, renew=bool(changed),
        )  # fmt: skip

    async def save(self, visit: Visit) -> Response:
        """Saves a new segment, or an edited rule or name."""
        fields = await visit.form()
        segment_id, name, text = fields.get("id", ""), fields.get("name", "").strip(), fields.get("rule", "")
        try:
            rule = json_field(text, "rule")
        except ApiError as refused:
            return await self._editor(visit, None, name, FIRST, 422, refused=refused)
        body = {"name": name, "rule": rule}
        try:
            if segment_id:
                made = await visit.api.send("PATCH", api.path("segments", segment_id), body)
            else:
                made = await visit.api.send("POST", api.path("segments"), body)
        except ApiError as refused:
            segment = await visit.api.find(api.path("segments", segment_id)) if segment_id else None
            return await self._editor(visit, segment, name, rule, refused.status, refused=refused)
        return visit.go(f"{PATH}/{made['id']}")

    async def delete(self, visit: Visit) -> Response:
        await visit.form()
        try:
            await visit.api.send("DELETE", api.path("segments", visit.request.path_params["id"]))
        except ApiError as refused:
            segment = await visit.api.get(api.path("segments", visit.request.path_params["id"]))
            return await self._editor(visit, segment, segment["name"], segment["rule"], refused.status, refused=refused)
        return visit.go(PATH)

    async def standing(self, visit: Visit) -> Response:
        """Renders a fragment: the count and the progress of the backfill; it refreshes until the segment is live."""
        segment = await visit.api.get(api.path("segments", visit.request.path_params["id"]))
        before = visit.query.get("reached", "0")
        reached = int(before) if before.isascii() and before.isdigit() and len(before) < 4 else 0
        return visit.page("segment_standing.html", title="", segment=segment, reached=min(100, reached))

    async def history(self, visit: Visit) -> Response:
        """Renders a fragment: the size over time, and the last entries and exits."""
        segment = await visit.api.get(api.path("segments", visit.request.path_params["id"]))
        interval = visit.query.get("interval", "")
        if interval not in INTERVALS:
            interval = _interval_of(time.time() * 1000 - (parse_iso(segment["created_at"]) or 0))
        place = api.path("segments", segment["id"])
        sizes, moves = await asyncio.gather(
            visit.api.get(f"{place}/history", interval=interval), visit.api.get(f"{place}/changes", limit="15")
        )
        return visit.page(
            "segment_history.html",
            title="",
            segment=segment,
            interval=interval,
            intervals=INTERVALS,
            sizes=figures.columns(sizes["data"], ("contacts",)),
            entered=sum(size["entered"] for size in sizes["data"]),
            left=sum(size["left"] for size in sizes["data"]),
            moves=moves["data"],
            total=moves["meta"]["total"],
        )

    async def _offered(self, visit: Visit) -> dict[str, list[str]]:
        """Returns event types, properties and attributes of some recent contacts, as far as the key's scopes allow."""
        if not visit.may("contacts:read"):
            return {"types": [], "properties": [], "attributes": []}
        home = (visit.principal.workspace, visit.environment, visit.principal.key_id)
        kept = self._names.get(home)
        if kept is not None and time.monotonic() - kept[0] < NAMES_S:
            return kept[1]
        contacts = (await visit.api.get(api.path("contacts"), limit="100"))["data"]
        places = [api.path("contacts", contact["id"], "events") for contact in contacts[:SAMPLED]]
        # an erasure or a merge may remove one of them meanwhile
        pages = await asyncio.gather(*(visit.api.find(place, limit="50") for place in places))
        events = [event for page in pages if page is not None for event in page["data"]]
        offered = {
            "types": _names(event["type"] for event in events),
            "properties": _names(name for event in events for name in event["properties"]),
            "attributes": _names(name for contact in contacts for name in contact["attributes"]),
        }
        if len(self._names) >= MOST_KEPT:
            self._names.clear()
        self._names[home] = (time.monotonic(), offered)
        return offered


def _interval_of(age_ms: float) -> str:
    """The interval of the plot: about thirty points cover the segment's age, at most a month."""
    return "minute" if age_ms < HOUR_MS / 2 else "hour" if age_ms < DAY_MS else "day"


def _names(names: Any) -> list[str]:
    return sorted(set(names))[:100]


def _wrong(refused: ApiError) -> dict[str, Any]:
    return {"refused": refused, "contacts": None, "sample": [], "warnings": []}


async def _preview(visit: Visit, rule: Any) -> dict[str, Any]:
    """Returns the number of contacts that match the rule now, or the rule's error."""
    try:
        preview = await visit.api.send("POST", api.path("segments", "preview"), {"rule": rule})
    except ApiError as refused:
        return _wrong(refused)
    return {"refused": None, "warnings": [], **preview}
