"""The row of the route table for the live stream; pure."""

from dataclasses import replace

from schemas.api.route import get
from schemas.json_schema import TEXT, TIME, Schema, one_of, whole
from schemas.limits import LIVE_STATES, MOST_LIVE_S

_ROWS: dict[str, Schema] = {
    **dict.fromkeys(("q", "type", "contact", "source"), TEXT),
    "key": {**TEXT, "description": "The beginning of a key's id, or of what is shown of a refused key."},
    "status": one_of(*LIVE_STATES),
    "since": {**TIME, "description": "Also what came since then, as far as it is still at hand."},
    "seconds": whole(1, MOST_LIVE_S, MOST_LIVE_S),
}
LIVE = replace(
    get(
        "/v1/live",
        "contacts:read",
        "LiveLine",
        "Events as they arrive: a line for each row and change",
        _ROWS,
    ),
    media="application/x-ndjson",
)
