"""The replicated definitions in, the Plan of every workspace and environment out, recompiled where one changed.

Rules are compiled once (``Compiler``); a partition's ``Plans`` are the same with those segments pending whose
history its contacts do not have yet. A pending segment's version changes when it becomes live, which evaluates all
contacts again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from processors.membership.conditions import Plan, Tenant, compile_plan, digest_of
from processors.membership.coverage import Coverage
from schemas.control.control_state import ControlState

Versions = dict[str, str]
Stamps = list[tuple[str, int, int]]
"""A tenant's definitions: each segment's id, version and time, and each list's name and content."""
PENDING: Final = ":pending"


class PlanVersion(NamedTuple):
    """The changes of definitions, and of a partition's coverage, that its plans follow from."""

    definitions: int
    coverage: int


class Compiler:
    """``version`` counts the changes of plans."""

    def __init__(self, control: ControlState) -> None:
        self._control = control
        self._revision = -1
        self._stamps: dict[Tenant, Stamps] = {}
        self.plans: dict[Tenant, Plan] = {}
        self.version = 0

    def refresh(self) -> None:
        """Follows the latest definitions; cheap if they have not changed."""
        if self._revision == self._control.revision:
            return
        self._revision = self._control.revision
        fresh: dict[Tenant, Plan] = {}
        stamps: dict[Tenant, Stamps] = {}
        for home, segments in self._control.segments.items():
            if segments:
                lists = self._control.value_lists[home]
                stamps[home] = [
                    *sorted((segment.id, segment.version, segment.updated_ms) for segment in segments.values()),
                    *sorted(
                        (f"list {value_list.name} {value_list.content.digest}", 0, 0) for value_list in lists.values()
                    ),
                ]
                plan = self.plans.get(home)
                is_same = plan is not None and self._stamps.get(home) == stamps[home]
                fresh[home] = plan if plan and is_same else compile_plan(home, segments.values(), plan, lists)
        if stamps != self._stamps:
            self.plans, self._stamps = fresh, stamps
            self.version += 1


class Plans:
    """The plans of one partition; ``digests`` of all homes with segments."""

    def __init__(self, compiler: Compiler, coverage: Coverage | None) -> None:
        """Without ``coverage`` no segment is ever pending: events count from the moment the segment appears."""
        self._compiler = compiler
        self.coverage = coverage
        self._derived_from: PlanVersion | None = None
        self._plans: dict[Tenant, Plan] = {}
        self._versions: dict[str, Versions] = {}
        self.version = PlanVersion(0, 0)
        """The version at the last change of ``digests``."""
        self.digests: frozenset[bytes] = frozenset()

    def refresh(self) -> None:
        """Follows the latest definitions; cheap if they have not changed."""
        self._compiler.refresh()
        if self._derived_from == self._latest():
            return
        if self.coverage is not None:
            self.coverage.forget(self._compiler.plans.values())
        self._derived_from = latest = self._latest()
        self._plans = {home: self._derived(plan) for home, plan in self._compiler.plans.items()}
        self.learn(self.current())
        digests = frozenset(plan.digest.encode() for plan in self._plans.values())
        if digests != self.digests:
            self.digests, self.version = digests, latest

    def _latest(self) -> PlanVersion:
        return PlanVersion(self._compiler.version, self.coverage.version if self.coverage else 0)

    def _derived(self, plan: Plan) -> Plan:
        pending = self.coverage.pending(plan) if self.coverage is not None else None
        if not pending:
            return plan
        versions = {s: version + PENDING * (s in pending) for s, version in plan.versions.items()}
        return replace(plan, digest=digest_of(plan.home, versions), versions=versions, pending=pending)

    def homes(self) -> Iterable[Plan]:
        """The plans of all homes with segments."""
        return self._plans.values()

    def of(self, workspace: str, environment: str) -> Plan:
        home = (workspace, environment)
        plan = self._plans.get(home)
        if plan is None:
            plan = self._plans[home] = compile_plan(home, ())
            self.learn({plan.digest: plan.versions})
        return plan

    def learn(self, versions: Mapping[str, Versions]) -> None:
        """Add the segment versions of earlier plans, by digest."""
        self._versions.update(versions)

    def versions(self, digest: str) -> Versions | None:
        return self._versions.get(digest)

    def those(self, digests: Iterable[bytes]) -> dict[str, Versions]:
        """Returns the segments' versions of these plans, by digest; leaves out unknown plans."""
        return {digest: self._versions[digest] for digest in map(bytes.decode, digests) if digest in self._versions}

    def current(self) -> dict[str, Versions]:
        return {plan.digest: plan.versions for plan in self._plans.values() if plan.versions}
