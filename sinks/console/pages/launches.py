"""A campaign in; its launches in the page's form out. A form about an audience in; the body of a call out."""

from typing import Any

from sinks.console.web import api
from sinks.console.web.json_field import json_field
from sinks.console.web.visit import Visit

OVERRIDE = "campaigns:override_consent"
SHOWN = 20


async def of_campaign(visit: Visit, place: str) -> dict[str, Any]:
    """Returns the template's values: the newest launches, and the segments that a launch may target."""
    listed = await visit.api.get(f"{place}/launches", limit=str(SHOWN))
    segments = []
    if visit.may("segments:read"):
        segments = (await visit.api.get(api.path("segments"), limit="100"))["data"]
    return {
        "launches": listed["data"],
        "launches_total": listed["meta"]["total"],
        "segments": segments,
        "segment_names": {segment["id"]: segment["name"] for segment in segments},
        "may_override": visit.may(OVERRIDE),
    }


def body_of(form: dict[str, str]) -> dict[str, Any]:
    """Raises ``ApiError`` (422) for content that is not JSON; the API checks everything else."""
    texts = {name: form.get(name, "").strip() for name in ("segment", "contact", "variant", "content")}
    body: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if "content" in body:
        body["content"] = json_field(body["content"], "content")
    if form.get("override_consent"):
        body["override_consent"] = True
    return body
