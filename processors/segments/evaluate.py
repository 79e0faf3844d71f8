"""A rule in, a pure function ``(contact, now) -> (is a member, when that may change by itself)`` out.

Until the due time of a verdict passes or the contact changes, the verdict holds.
"""

from collections.abc import Callable, Sequence

from processors.segments import windows
from processors.segments.compare import dig, predicate
from processors.segments.state import Contact
from processors.segments.windows import NEVER
from schemas.rule_nodes import (
    AllOf,
    AnyOf,
    Attribute,
    Comparison,
    Consent,
    Happened,
    Identified,
    Instant,
    Not,
    Rule,
    Within,
)
from schemas.times import parse_time

Verdict = tuple[bool, int]
Evaluate = Callable[[Contact, int], Verdict]


def compile_rule(rule: Rule, condition_id: Callable[[Happened], str]) -> Evaluate:
    """``condition_id`` says where the events of a leaf are counted; raises ``NotImplementedError``."""
    match rule:
        case AllOf(rules=rules):
            return _until([compile_rule(part, condition_id) for part in rules], stop=False)
        case AnyOf(rules=rules):
            return _until([compile_rule(part, condition_id) for part in rules], stop=True)
        case Not(rule=inner):
            return _not(compile_rule(inner, condition_id))
        case Attribute(path=path, test=Comparison(value=Instant(moving=True)) as test):
            return _moving(path, test)
        case Attribute(path=path, test=test):
            return _attribute(path, test)
        case Happened():
            return _counted(rule, condition_id(rule))
        case Consent(name=name, value=value):
            return _consent(name, wanted=value)
        case Identified(value=value):
            return lambda contact, _now_ms: (contact.is_identified is value, NEVER)
        case _:
            raise NotImplementedError(type(rule).__name__)


def _until(parts: Sequence[Evaluate], *, stop: bool) -> Evaluate:
    """Any (``stop=True``) or all (``stop=False``) of the parts."""

    def evaluate(contact: Contact, now_ms: int) -> Verdict:
        first_due = NEVER
        for part in parts:
            holds, due = part(contact, now_ms)
            if holds is stop:
                return stop, due  # as long as this part stays so, the others do not matter
            first_due = min(first_due, due)
        return not stop, first_due

    return evaluate


def _not(inner: Evaluate) -> Evaluate:
    def evaluate(contact: Contact, now_ms: int) -> Verdict:
        holds, due = inner(contact, now_ms)
        return not holds, due

    return evaluate


def _attribute(path: tuple[str, ...], test: Comparison) -> Evaluate:
    name, rest = path[0], path[1:]
    holds = predicate(test)

    def evaluate(contact: Contact, _now_ms: int) -> Verdict:
        stamped = contact.attributes.get(name)
        return holds(None if stamped is None else dig(stamped[0], rest)), NEVER

    return evaluate


def _moving(path: tuple[str, ...], test: Comparison) -> Evaluate:
    """``before`` or ``after`` a moment that moves with the present: time alone decides one day."""
    name, rest = path[0], path[1:]
    offset, is_before = test.value.ms, test.op == "before"

    def evaluate(contact: Contact, now_ms: int) -> Verdict:
        stamped = contact.attributes.get(name)
        time = None if stamped is None else parse_time(dig(stamped[0], rest))
        if time is None:
            return False, NEVER
        met = time - offset
        if is_before:
            return now_ms > met, NEVER if now_ms > met else met + 1
        return now_ms < met, met if now_ms < met else NEVER

    return evaluate


def _counted(leaf: Happened, condition: str) -> Evaluate:
    limit = windows.threshold(leaf.measure.op, int(leaf.measure.value))
    within_ms = leaf.window.ms if isinstance(leaf.window, Within) else None
    judge = windows.judge
    return lambda contact, now_ms: judge(contact.counts.get(condition), limit, within_ms, now_ms)


def _consent(name: str, *, wanted: bool) -> Evaluate:
    def evaluate(contact: Contact, _now_ms: int) -> Verdict:
        stamped = contact.consents.get(name)
        return stamped is not None and stamped[0] is wanted, NEVER

    return evaluate
