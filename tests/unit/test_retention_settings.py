"""How a workspace says what it keeps, and which rules look back further than that."""

import math
from typing import Any

import pytest

from ingest.control.access import edited_workspace
from schemas.api import serialize
from schemas.api.requests.access import WorkspaceEdit
from schemas.api.requests.body import checked
from schemas.control.definitions import Workspace
from schemas.errors import ApiError
from schemas.rules import parse
from schemas.rules.rule_tree import looks_back_ms
from schemas.times import DAY_MS, HOUR_MS

ONE = Workspace(id="w", workspace="w", created_ms=1, name="W")


def edited(workspace: Workspace, retention: Any) -> Workspace:
    return edited_workspace(workspace, checked(WorkspaceEdit, {"retention": retention}))


def test_days_are_set_one_by_one_and_null_ends_them() -> None:
    assert serialize.workspace(ONE)["retention"] == {"events_days": None, "deliveries_days": None}
    both = edited(edited(ONE, {"events_days": 400}), {"deliveries_days": 30})
    assert serialize.workspace(both)["retention"] == {"events_days": 400, "deliveries_days": 30}
    assert edited(both, {"events_days": None}).retention == {"deliveries": 30}
    assert edited_workspace(both, checked(WorkspaceEdit, {"name": "X"})).retention == both.retention


@pytest.mark.parametrize(
    ("retention", "param"),
    [
        ({"events_days": 34}, "retention.events_days"),
        ({"events_days": 3651}, "retention.events_days"),
        ({"events_days": "60"}, "retention.events_days"),
        ({"events_days": True}, "retention.events_days"),
        ({"deliveries_days": 7}, "retention.deliveries_days"),
        ({"deliveries_days": 91}, "retention.deliveries_days"),
        ({"contacts_days": 60}, "retention.contacts_days"),
        (60, "retention"),
    ],
)
def test_too_few_or_too_many_days_are_refused(retention: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        edited(ONE, retention)
    assert (refused.value.status, refused.value.param) == (422, param)


RECENT = {"event": "a", "within": "30d"}
WAITING = {"absent": {"event": "b"}, "after": {"event": "a"}, "for": "2h"}


@pytest.mark.parametrize(
    ("rule", "ms"),
    [
        ({"attribute": "plan", "op": "eq", "value": "pro"}, 0),
        (RECENT, 30 * DAY_MS),
        ({"event": "a"}, math.inf),
        ({"event": "a", "between": ["2026-01-01", "2026-02-01"]}, math.inf),
        ({"all": [RECENT, {"not": {"event": "b", "within": "40d"}}]}, 40 * DAY_MS),
        ({"any": [{"identified": True}, {"event": "a"}]}, math.inf),
        (WAITING, math.inf),
        ({**WAITING, "within": "1d"}, DAY_MS + 2 * HOUR_MS),
        ({"sequence": [{"event": "a"}, {"event": "b", "within": "10m"}]}, math.inf),
        ({"segment": "seg_1"}, 0),
    ],
)
def test_how_far_a_rule_looks_back(rule: dict[str, Any], ms: float) -> None:
    assert looks_back_ms(parse.parse(rule)) == ms
