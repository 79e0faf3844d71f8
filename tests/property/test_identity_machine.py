"""Whatever is delivered, repeated, taken back, crashed, restored and given away: contacts are those of the log.

``pytest --hypothesis-profile=nightly`` looks at many more runs.
"""

import random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.records.records import Link
from tests.property.world_identity import CRASHES, INPUTS, PARTITIONS, IdentityWorld, oracle
from tests.support.builders import NOW_MS, event, link

NAMES = [f"{kind}:{n}" for kind in ("external_id", "email", "anonymous_id") for n in range(1, 4)]
RANDOM = st.randoms(use_true_random=False)
RUNS = max(250, settings().max_examples)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = IdentityWorld()

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), alias=st.booleans())
    def deliver(self, names: list[str], alias: bool) -> None:
        n = len(self.world.delivered)
        names.sort(key=lambda name: ("external_id", "email", "anonymous_id").index(name.split(":")[0]))
        more: dict[str, Any] = {"kind": "alias"} if alias else {}
        self.world.deliver(event(*names, event_id=f"evt_{n}", received_ms=NOW_MS + n, **more))

    @rule(nth=st.integers(0, 100))
    def duplicate(self, nth: int) -> None:
        if self.world.delivered:
            self.world.deliver(self.world.delivered[nth % len(self.world.delivered)])

    @rule(nth=st.integers(0, 100), count=st.integers(1, 3))
    def take_back(self, nth: int, count: int) -> None:
        """Evidence that the log of links has; several in one request."""
        tied = [k for k in self.world.links() if k["a"] != k["b"] and not k.get("retract")]
        chosen = [tied[(nth + n) % len(tied)] for n in range(min(count, len(tied)))]
        if chosen:
            self.world.retract([retraction(link) for link in chosen])

    @rule(
        topic=st.sampled_from(INPUTS),
        partition=st.integers(0, PARTITIONS - 1),
        most=st.integers(1, 4),
        crash=st.sampled_from(CRASHES),
        rng=RANDOM,
    )
    def work(self, topic: str, partition: int, most: int, crash: str, rng: random.Random) -> None:
        self.world.work(topic, partition, most, crash, rng)

    @rule(partition=st.integers(0, PARTITIONS - 1))
    def rebalance(self, partition: int) -> None:
        self.world.rebalance(partition)

    @rule(number=st.integers(0, 1))
    def restart(self, number: int) -> None:
        self.world.restart(number)

    @rule()
    def settle(self) -> None:
        self.world.settle()
        self.check()

    @invariant()
    def offsets_stay_within_their_logs(self) -> None:
        assert all(self.world.committed[place] <= len(log) for place, log in self.world.logs.items())

    def teardown(self) -> None:
        self.world.settle()
        self.check()

    def check(self) -> None:
        """Every event passed; who belongs together is what the log says, and goes by one of its own ids."""
        world = self.world
        assert world.resolved() == {e["event_id"] for e in world.delivered}
        contacts = oracle(world.links())
        owners = [{world.winner(name) for name in contact} for contact in contacts]
        assert all(len(some) == 1 for some in owners), (contacts, owners)
        assert len(set.union(set(), *owners)) == len(contacts), (contacts, owners)


def retraction(of: Link) -> Link:
    names = [f"{side['type']}:{side['value']}" for side in (of["a"], of["b"])]
    return link(*names, event=of["event_id"], at_ms=NOW_MS + 1000, kind="split", retract=True)


TestIdentityMachine = Machine.TestCase
TestIdentityMachine.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
