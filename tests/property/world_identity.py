"""Two identity workers over logs in memory: what a crash may leave at every point of the seam, and who owns what."""

import random
from collections import defaultdict
from collections.abc import Iterable

from processors.identity.stage import IdentityStage
from processors.runtime.stage import InputRecord, OutputRecord, PartitionState
from schemas import topics
from schemas.control.control_state import ControlState, Workspace, encode
from schemas.records import codec
from schemas.records.identity import partition_of
from schemas.records.mergemap import winner_of
from schemas.records.records import Event, Link
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, MemoryTables, cid

PARTITIONS = 2
LIMITS = {"email": 2, "total": 7}
INPUTS = (topics.EVENTS.name, topics.LINKS.name, topics.MERGES.name)
LINKS = partition_of(f"{WORKSPACE}/{ENVIRONMENT}", PARTITIONS)
CRASHES = ("", "before sends", "between sends", "before rows", "between rows", "before the commit")


class IdentityWorker:
    """A stage, and the rows it has on its own disk."""

    def __init__(self, limits: dict[str, int]) -> None:
        self._limits = limits
        self.start()

    def start(self) -> None:
        control = ControlState()
        home = {"id": WORKSPACE, "workspace": WORKSPACE, "created_ms": 1, "name": "w"}
        control.apply(*encode("workspace", Workspace(limits=self._limits, **home)))
        self.stage = IdentityStage(control, PARTITIONS)
        self.tables = MemoryTables()


class IdentityWorld:
    """Logs, changelogs, committed offsets, and two workers that share the partitions."""

    def __init__(self, limits: dict[str, int] = LIMITS) -> None:
        self.logs: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        self.committed: dict[tuple[str, int], int] = defaultdict(int)
        self.changelog = MemoryTables()
        self.workers = [IdentityWorker(limits), IdentityWorker(limits)]
        self.owners = [n % 2 for n in range(PARTITIONS)]
        self.delivered: list[Event] = []

    # --- what comes in

    def deliver(self, event: Event) -> None:
        self.delivered.append(event)
        self.logs[topics.EVENTS.name, partition_of(event["contact_id"], PARTITIONS)].append(
            codec.encode_events([event])
        )

    def retract(self, links: list[Link]) -> None:
        self.logs[topics.LINKS.name, LINKS].append(codec.encode_links(links))

    # --- the seam: outputs, then rows, then the commit

    def work(self, topic: str, partition: int, most: int, crash: str, rng: random.Random) -> bool:
        """One unit; false where there was nothing to do."""
        at, log = self.committed[topic, partition], self.logs[topic, partition]
        records = [
            InputRecord(topic, partition, at + n, None, value, NOW_MS) for n, value in enumerate(log[at : at + most])
        ]
        if not records:
            return False
        worker = self.workers[self.owners[partition]]
        state = PartitionState(partition, worker.tables)
        sends = worker.stage.process(records, state, NOW_MS)
        if crash != "before sends":
            self._send(rng.sample(sends, rng.randrange(len(sends) + 1)) if crash == "between sends" else sends)
        if crash in CRASHES[1:4]:
            self.restart(self.owners[partition])
            return True
        rows = [(table, key, row) for table, some in state.writes.items() for key, row in some.items()]
        if crash == "between rows":
            rows = rng.sample(rows, rng.randrange(len(rows) + 1))
        for table, key, row in rows:
            self.changelog.apply(partition, {table: {key: row}})
        if crash:
            self.restart(self.owners[partition])
        else:
            worker.tables.apply(partition, state.writes)
            self.committed[topic, partition] += len(records)
        return True

    def _send(self, sends: Iterable[OutputRecord]) -> None:
        for send in sends:
            self.logs[send.topic, send.partition].append(send.value)

    def restart(self, number: int) -> None:
        """A worker comes back with nothing but what the changelogs hold."""
        self.workers[number].start()
        for partition, owner in enumerate(self.owners):
            if owner == number:
                self._restore(partition)

    def rebalance(self, partition: int) -> None:
        self.workers[self.owners[partition]].stage.on_revoked(partition)
        self.owners[partition] = 1 - self.owners[partition]
        self._restore(partition)

    def _restore(self, partition: int) -> None:
        worker = self.workers[self.owners[partition]]
        for (table, of), rows in self.changelog.rows.items():
            if of == partition:
                worker.tables.rows[table, of] = dict(rows)
        worker.stage.on_assigned(partition, lambda table: worker.tables.scan(table, partition))

    def settle(self) -> None:
        rng = random.Random(0)
        while any(self.work(topic, p, 5, "", rng) for topic in INPUTS for p in range(PARTITIONS)):
            pass

    # --- what came of it

    def winner(self, name: str) -> str:
        """By the map of the partition that the identifier's events come to."""
        own = cid(name)
        row = self.changelog.reader(topics.IDENTITY_MAP, partition_of(own, PARTITIONS))(own.encode())
        return own if row is None else winner_of(row)

    def links(self) -> list[Link]:
        return [link for value in self.logs[topics.LINKS.name, LINKS] for link in codec.decode_links(value)]

    def resolved(self) -> set[str]:
        values = (v for (topic, _), log in self.logs.items() if topic == topics.RESOLVED.name for v in log)
        return {event["event_id"] for value in values for event in codec.decode_events(value)}


def oracle(links: list[Link]) -> list[set[str]]:
    """Contacts of the log without what was taken back: sets and counts, one link after the other."""
    gone = {(frozenset(_names(k)), k["event_id"]) for k in links if k.get("retract")}
    homes: dict[str, set[str]] = {}
    for link in links:
        a, b = _names(link)
        left, right = homes.setdefault(a, {a}), homes.setdefault(b, {b})
        if left is right or link.get("retract") or (frozenset((a, b)), link["event_id"]) in gone:
            continue
        if len(left) + len(right) > LIMITS["total"] or (not link["explicit"] and _too_many(left, right)):
            continue
        left |= right
        homes.update(dict.fromkeys(right, left))
    return list({id(home): home for home in homes.values()}.values())


def _names(link: Link) -> tuple[str, str]:
    return f"{link['a']['type']}:{link['a']['value']}", f"{link['b']['type']}:{link['b']['value']}"


def _too_many(left: set[str], right: set[str]) -> bool:
    for kind, most in (("external_id", 1), ("email", LIMITS["email"])):
        counts = [sum(name.startswith(f"{kind}:") for name in side) for side in (left, right)]
        if all(counts) and sum(counts) > most:
            return True
    return False
