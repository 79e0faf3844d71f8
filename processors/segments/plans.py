"""The replicated definitions in, the Plan of every workspace and environment out, recompiled where one changed."""

from collections.abc import Iterable, Mapping

from processors.segments.conditions import Home, Plan, compile_plan
from schemas.control import ControlState

Versions = dict[str, str]


class Plans:
    """``generation`` grows with every change of a plan; ``digests`` are those of all homes with segments."""

    def __init__(self, control: ControlState) -> None:
        self._control = control
        self._revision = -1
        self._plans: dict[Home, Plan] = {}
        self._stamps: dict[Home, list[tuple[str, int, int]]] = {}
        self._versions: dict[str, Versions] = {}
        self.generation = 0
        self.digests: frozenset[bytes] = frozenset()

    def refresh(self) -> None:
        """Take in what has changed; cheap if nothing has."""
        if self._revision == self._control.revision:
            return
        self._revision = self._control.revision
        fresh: dict[Home, Plan] = {}
        for home, found in self._control.segments.items():
            if found:
                stamp = sorted((segment.id, segment.version, segment.updated_ms) for segment in found.values())
                if self._stamps.get(home) != stamp or home not in self._plans:
                    self._plans[home] = compile_plan(home, found.values(), self._plans.get(home))
                    self._stamps[home] = stamp
                fresh[home] = self._plans[home]
        self._plans = fresh
        self.learn(self.current())
        digests = frozenset(plan.digest.encode() for plan in self._plans.values())
        if digests != self.digests:
            self.digests = digests
            self.generation += 1

    def of(self, workspace: str, environment: str) -> Plan:
        home = (workspace, environment)
        plan = self._plans.get(home)
        if plan is None:
            plan = self._plans[home] = compile_plan(home, ())
            self.learn({plan.digest: plan.versions})
        return plan

    def learn(self, versions: Mapping[str, Versions]) -> None:
        """What plans of before, by their digests, were made of."""
        self._versions.update(versions)

    def versions(self, digest: str) -> Versions | None:
        return self._versions.get(digest)

    def those(self, digests: Iterable[bytes]) -> dict[str, Versions]:
        """Of these plans, as far as they are known."""
        return {digest: self._versions[digest] for digest in map(bytes.decode, digests) if digest in self._versions}

    def current(self) -> dict[str, Versions]:
        return {plan.digest: plan.versions for plan in self._plans.values() if plan.versions}
