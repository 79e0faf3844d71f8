"""Events and rules for the properties of segments: few different ones, so that they meet."""

from typing import Any

from hypothesis import strategies as st

from schemas.records.records import Event
from tests.property.world_segments import HOUR, NOW, event

COUNT_OPS = ("gte", "gt", "lte", "lt", "eq", "ne")
times = st.integers(NOW - 3 * HOUR, NOW).map(lambda t: t - t % 60_000)
"""Few enough different ones to meet."""
windows: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.sampled_from(["10m", "1h", "2h"]).map(lambda w: {"within": w}),
    st.just({"between": ["2026-05-28T18:00:00Z", "2026-05-28T20:00:00Z"]}),
)
wheres: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"where": [{"property": "n", "op": "gte", "value": 1}]},
        {"where": [{"property": "n", "op": "gte", "value": 2}]},
        {"where": [{"property": "n", "op": "in", "value": {"list": "plans"}}]},
    ]
)
event_rules = st.builds(
    lambda name, op, value, window, where: {
        "event": name,
        "count": {"op": op, "value": value},
        **window,
        **where,
    },
    st.sampled_from(["seen", "bought"]),
    st.sampled_from(COUNT_OPS),
    st.integers(0, 4),
    windows,
    wheres,
)
total_rules = st.builds(
    lambda name, kind, op, value, window: {"event": name, kind: {"property": "n", "op": op, "value": value}, **window},
    st.sampled_from(["seen", "bought"]),
    st.sampled_from(["sum", "max", "min"]),
    st.sampled_from(COUNT_OPS),
    st.integers(0, 5),
    windows,
)
steps = st.builds(lambda name, where: {"event": name, **where}, st.sampled_from(["seen", "bought"]), wheres)
spans = st.sampled_from(["1m", "10m", "1h", "2h"])
repeated = st.builds(
    lambda step, count, within: {**step, "count": {"op": "gte", "value": count}, **within},
    steps,
    st.integers(2, 3),
    st.one_of(st.just({}), spans.map(lambda span: {"within": span})),
)
first_steps = st.one_of(steps, steps, repeated)
later_steps = st.one_of(steps, st.builds(lambda step, within: {**step, "within": within}, steps, spans), repeated)
absences = st.builds(
    lambda missing, after, span: {"absent": missing, "after": after, "for": span}, steps, first_steps, spans
)
step_rules = st.one_of(
    st.builds(
        lambda first, rest: {"sequence": [first, *rest]}, first_steps, st.lists(later_steps, min_size=1, max_size=3)
    ),
    absences,
    st.builds(lambda rule, within: {**rule, "within": within}, absences, st.sampled_from(["121m", "3h"])),
)
identifier_rules = st.builds(
    lambda kind, test: {"identifier": kind, **test},
    st.sampled_from(["external_id", "anonymous_id"]),
    st.sampled_from(
        [
            *({"op": op, "value": "ann"} for op in ("eq", "ne", "contains", "starts_with", "ends_with")),
            *({"op": op, "value": ["ann", "eve"]} for op in ("in", "not_in")),
            *({"op": op, "value": {"list": "people"}} for op in ("in", "not_in")),
            *({"op": op} for op in ("exists", "not_exists")),
        ]
    ),
)
ZONES = ["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles", {"attribute": "zone"}]
anniversary_rules = st.builds(
    lambda days, zone: {"attribute": "since", "op": "anniversary", "value": days, "tz": zone},
    st.sampled_from([0, 0, 0, 1, -1]),
    st.sampled_from(ZONES),
)
attribute_rules = st.one_of(
    st.builds(
        lambda op, value: {"attribute": "plan", "op": op, "value": value},
        st.sampled_from(["eq", "ne", "gt", "lte"]),
        st.integers(0, 3),
    ),
    st.just({"attribute": "since", "op": "before", "value": "now-1h"}),
    st.just({"attribute": "since", "op": "after", "value": "now-2h"}),
    st.just({"attribute": "plan", "op": "not_exists"}),
    st.sampled_from(["in", "not_in"]).map(lambda op: {"attribute": "plan", "op": op, "value": {"list": "plans"}}),
)
leaves = st.one_of(
    event_rules,
    total_rules,
    step_rules,
    attribute_rules,
    identifier_rules,
    anniversary_rules,
    st.builds(lambda value: {"consent": "email", "value": value}, st.booleans()),
    st.builds(lambda value: {"identified": value}, st.booleans()),
)
rules = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=4,
)


@st.composite
def events(draw: st.DrawFn, users: tuple[tuple[str, str], ...] = (("external_id", "ann"),)) -> Event:
    """An event whose content follows from its id, as it does for everybody but a liar."""
    by, user = draw(st.sampled_from(users))
    name = draw(st.sampled_from(["seen", "bought", "other"]))
    at = draw(times)
    late = draw(st.sampled_from([0, 0, 1000, HOUR]))
    fields: dict[str, Any] = {"properties": {"n": draw(st.integers(0, 3))}}
    if draw(st.booleans()):
        plan = draw(st.one_of(st.none(), st.integers(0, 3)))
        zone = draw(st.sampled_from([None, "Asia/Tokyo", "Nowhere", "America/Los_Angeles"]))
        fields["attributes"] = {"plan": plan, "since": draw(times) / 1000, "zone": zone}
    if draw(st.booleans()):
        fields["consents"] = {"email": draw(st.booleans())}
    number = draw(st.integers(0, 10**9))
    received = min(at + late, NOW)
    return event(name, user=user, by=by, at=at, received=received, event_id=f"evt_{number}", **fields)
