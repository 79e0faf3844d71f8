"""A whole rule, a tenant and a time in; the ClickHouse query that selects exactly its members at that time out.

1. The rule is evaluated over rows of `events_resolved` and `contacts`, not over the stage's state.
2. An event counts once, at its latest time, from that time on. Like the stage, the query keeps the newest
   ``MOST_EVENTS`` past events.
3. Values are parameters, never text of the query.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from schemas.calendar_days import celebrated_on, today_in, zones
from schemas.records import identity
from schemas.records.bot_detection import machine_sql
from schemas.records.records import TRACK
from schemas.records.sameness import SENDER_LENGTH, SEPARATOR
from schemas.rules.aggregates import Limit
from schemas.rules.conditions import CountedEvents, counted, counted_step, needs
from schemas.rules.nodes import (
    BY_MACHINE,
    Absent,
    AllOf,
    Anniversary,
    AnyOf,
    Attribute,
    Consent,
    Happened,
    HasIdentifier,
    Identified,
    InOrder,
    InSegment,
    Not,
    Rule,
    Step,
    Where,
    Within,
)
from schemas.rules.parse_parts import LARGEST
from schemas.rules.sql_values import JsonColumn, Parameters, any_value, month_day, test
from schemas.rules.windows import MOST_EVENTS

_ORDER = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "=", "ne": "!="}

_CONTACTS = """
SELECT contact_id, attributes, consents, identifiers FROM contacts FINAL
WHERE workspace = {workspace:String} AND environment = {environment:String} AND merged_into = ''"""
_COUNTED_KEY = f"concat(event_id, char({ord(SEPARATOR)}), right(own_contact_id, {SENDER_LENGTH}))"
"""The SQL of ``schemas.records.sameness.counted_key``."""
_EVENTS = f"""
SELECT contact_id, {_COUNTED_KEY} AS key, toUnixTimestamp64Milli(timestamp) AS time_ms, type, properties
FROM events_resolved
WHERE workspace = {{workspace:String}} AND environment = {{environment:String}} AND contact_id != ''"""  # noqa: S608 - constants
_LISTED = """contact_id IN
(
    SELECT contact_id FROM memberships FINAL
    WHERE workspace = {workspace:String} AND environment = {environment:String} AND member AND segment_id = """
_ONLY = " AND contact_id IN {contacts:Array(String)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleQuery:
    """SQL that yields one column, ``contact_id``, and its parameters."""

    sql: str
    parameters: dict[str, Any]


def members(tree: Rule, workspace: str, environment: str, now_ms: int, contacts: list[str] | None = None) -> RuleQuery:
    """Builds the query of a whole ``tree``, over all contacts or these."""
    compiler = _Compiler(now_ms)
    condition = compiler.rule(tree)
    only = "" if contacts is None else _ONLY
    source = f"({_CONTACTS}{only}\n) AS c"
    if compiler.columns:
        columns = "".join(f",\n    {sql} AS {name}" for sql, name in compiler.columns.items())
        types = compiler.parameters.add(sorted(compiler.types), "Array(String)")
        until = f" AND time_ms <= {compiler.parameters.whole(now_ms)} AND _kind = '{TRACK}' AND type IN ({types})"
        events = f"{_EVENTS}{only}{until}\nORDER BY time_ms DESC LIMIT 1 BY contact_id, type, key"
        seen = f"SELECT contact_id{columns}\nFROM ({events}\n)\nGROUP BY contact_id"
        source += f"\nLEFT JOIN\n(\n{seen}\n) AS e USING (contact_id)"
    sql = f"SELECT contact_id FROM {source}\nWHERE {condition}\nSETTINGS precise_float_parsing = 1"  # noqa: S608 - our own words
    return RuleQuery(
        sql=sql,
        parameters={
            **compiler.parameters.values,
            "workspace": workspace,
            "environment": environment,
            **({} if contacts is None else {"contacts": contacts}),
        },
    )


class _Compiler:
    """Compiles a rule; ``columns`` are the needed aggregates of a contact's events, with their names."""

    def __init__(self, now_ms: int) -> None:
        self.parameters = Parameters()
        self.columns: dict[str, str] = {}
        self.types: set[str] = set()
        self._now_ms = now_ms
        self._now = self.parameters.whole(now_ms)

    def rule(self, tree: Rule) -> str:
        """Returns a condition that is never NULL."""
        match tree:
            case AllOf(rules=rules):
                return f"({' AND '.join(map(self.rule, rules))})"
            case AnyOf(rules=rules):
                return f"({' OR '.join(map(self.rule, rules))})"
            case Not(rule=inner):
                return f"(NOT {self.rule(inner)})"
            case InSegment(segment_id=segment_id, rule=None):
                return f"{_LISTED}{self.parameters.text(segment_id)}\n)"
            case InSegment(rule=other) if other is not None:
                return self.rule(other)
        return self._leaf(tree)

    def _leaf(self, leaf: Rule) -> str:
        for what, _ in needs(leaf):
            self.types.add(what.event)
        match leaf:
            case Attribute(path=path, test=comparison):
                return test(JsonColumn("attributes", path, self.parameters), comparison, self.parameters, self._now_ms)
            case Anniversary():
                return self._anniversary(leaf)
            case HasIdentifier(kind=kind, test=comparison):
                values = f"arrayMap(i -> i.2, arrayFilter(i -> i.1 = {self.parameters.text(kind)}, identifiers))"
                return any_value(values, comparison, self.parameters)
            case Consent(name=name, value=expected):
                place = JsonColumn("consents", (name,), self.parameters)
                return f"({place.kind} = 'Bool' AND {place.boolean} = {int(expected)})"
            case Identified(value=expected):
                weak = f"('{identity.ANONYMOUS_ID}', '{identity.DEVICE_ID}')"
                return f"(arrayExists(i -> i.1 NOT IN {weak}, identifiers) = {int(expected)})"
            case Happened() if leaf.measure.kind == "count":
                return self._count(leaf)
            case Happened():
                return self._total(leaf)
            case InOrder():
                return self._in_order(leaf)
            case Absent():
                return self._absent(leaf)
        raise TypeError(f"{type(leaf).__name__} is no leaf")

    def _anniversary(self, leaf: Anniversary) -> str:
        """Python computes the present day in each zone, with the same time zones as the stage."""
        celebrated = month_day(JsonColumn("attributes", leaf.path, self.parameters))
        usual = self._is_celebrated(celebrated, self._day(leaf, leaf.zone.name))
        if not leaf.zone.path:
            return usual
        place = JsonColumn("attributes", leaf.zone.path, self.parameters)
        by_day: dict[date, list[str]] = defaultdict(list)
        for name in sorted(zones()):
            by_day[self._day(leaf, name)].append(name)
        ways = [
            f"has({self.parameters.add(names, 'Array(String)')}, {place.text}), {self._is_celebrated(celebrated, day)}"
            for day, names in by_day.items()
        ]
        return f"if({place.kind} = 'String', multiIf({', '.join(ways)}, {usual}), {usual})"

    def _day(self, leaf: Anniversary, zone: str) -> date:
        return today_in(zone, self._now_ms) + timedelta(days=leaf.days)

    def _is_celebrated(self, celebrated: str, day: date) -> str:
        return f"({celebrated} IN ({', '.join(map(str, celebrated_on(day)))}))"

    def _count(self, leaf: Happened) -> str:
        counts = self._matches(counted(leaf))
        if isinstance(leaf.window, Within):
            counts += f" AND time_ms >= {self._ago(leaf.window.ms)}"
        count = self._column(f"countIf({counts})")
        return f"({count} {_ORDER[leaf.measure.op]} {self.parameters.whole(int(leaf.measure.value))})"

    def _total(self, leaf: Happened) -> str:
        kind, op = leaf.measure.kind, leaf.measure.op
        events = self._series(counted(leaf))
        if isinstance(leaf.window, Within):
            events = f"arrayFilter(x -> x.1 >= {self._ago(leaf.window.ms)}, {events})"
        values = f"arrayMap(x -> toInt128(x.3), {events})"
        compared = f"arrayReduce('{kind}', {values}) {_ORDER[op]} {self.parameters.whole(Limit.of(leaf.measure).units)}"
        return f"({compared})" if kind == "sum" else f"if(empty({events}), {int(op == 'ne')}, {compared})"

    def _in_order(self, leaf: InOrder) -> str:
        first, *rest = leaf.steps
        reached = f"arrayMap(x -> x.1, {self._repeated(first)})"
        for step in rest:
            near = "" if step.within_ms is None else f" AND t - r < {self.parameters.whole(step.within_ms)}"
            times = f"arrayMap(x -> x.1, {self._series(counted_step(step))})"
            if step.count == 1:
                reached = f"arrayFilter(t -> arrayExists(r -> r < t{near}, {reached}), {times})"
                continue
            # all ``count`` events of a step follow the preceding step
            firsts = f"arrayMap(i -> {times}[i - {step.count - 1}], arrayEnumerate({times}))"
            is_reached = f"i >= {step.count} AND arrayExists(r -> r < f{near}, {reached})"
            reached = f"arrayFilter((t, f, i) -> {is_reached}, {times}, {firsts}, arrayEnumerate({times}))"
        return f"notEmpty({reached})"

    def _repeated(self, step: Step) -> str:
        """The last event of each run of ``count`` events: of a first step, or of a trigger."""
        series, n = self._series(counted_step(step)), step.count
        if n == 1:
            return series
        near = "" if step.within_ms is None else f" AND x.1 - f.1 < {self.parameters.whole(step.within_ms)}"
        firsts = f"arrayMap(i -> {series}[i - {n - 1}], arrayEnumerate({series}))"
        return f"arrayFilter((x, f, i) -> i >= {n}{near}, {series}, {firsts}, arrayEnumerate({series}))"

    def _absent(self, leaf: Absent) -> str:
        answers, triggers = self._series(counted_step(leaf.missing)), self._repeated(leaf.after)
        span = self.parameters.whole(leaf.for_ms)
        answered = f"arrayExists(b -> b.2 != a.2 AND b.1 >= a.1 AND b.1 < a.1 + {span}, {answers})"
        is_known = f"(length({answers}) < {MOST_EVENTS} OR (a.1, a.2) >= ({answers}[1].1, {answers}[1].2))"
        recent = "" if leaf.within_ms is None else f" AND a.1 >= {self._ago(leaf.within_ms)}"
        return f"arrayExists(a -> a.1 + {span} <= {self._now}{recent} AND {is_known} AND NOT {answered}, {triggers})"

    # --- columns

    def _column(self, aggregate: str) -> str:
        return self.columns.setdefault(aggregate, f"e{len(self.columns)}")

    def _series(self, what: CountedEvents) -> str:
        """The newest events by (time, id), oldest first, each with its value if it has one."""
        counts, entry = self._matches(what), "(time_ms, key)"
        if what.path:
            units = JsonColumn("properties", what.path, self.parameters).units(LARGEST)
            counts += f" AND {units} IS NOT NULL"
            entry = f"(time_ms, key, assumeNotNull({units}))"
        newest = f"arrayReverse(arraySlice(arrayReverseSort(groupArrayIf({entry}, {counts})), 1, {MOST_EVENTS}))"
        return self._column(newest)

    def _matches(self, what: CountedEvents) -> str:
        tests = [f"type = {self.parameters.text(what.event)}"]
        if what.between is not None:
            first, end = (self.parameters.whole(ms) for ms in (what.between.from_ms, what.between.to_ms))
            tests.append(f"time_ms >= {first} AND time_ms < {end}")
        tests += map(self._where, what.where)
        return " AND ".join(tests)

    def _where(self, where: Where) -> str:
        if where.test.op != BY_MACHINE:
            place = JsonColumn("properties", where.path, self.parameters)
            return test(place, where.test, self.parameters, self._now_ms)
        names = ("machine_open", "user_agent", "ip")
        flag, agent, ip = (JsonColumn("properties", (name,), self.parameters) for name in names)
        is_true = f"({flag.kind} = 'Bool' AND {flag.boolean} = 1)"
        return f"({machine_sql(is_true, agent.text, ip.text)} = {int(where.test.value)})"

    def _ago(self, ms: int) -> str:
        return self.parameters.whole(self._now_ms - ms)
