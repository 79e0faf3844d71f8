"""What a replay of a record in quarantine would do: sent where it stood, or refused for a reason that is told."""

import pytest

from schemas import topics
from schemas.control.definitions import Erasure
from schemas.control.erasure import Erased
from schemas.records import codec
from schemas.records.quarantine import MAX_PAYLOAD
from sinks.quarantine.decision import MOST_REPLAYS, QuarantineEntry, judge
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid, event

GOOD = event("external_id:u1")
FOREIGN = event("external_id:u2", contact_id="cnt_elsewhere")


def entry(
    topic: str = topics.EVENTS.name, payload: bytes | None = None, partition: int = 0, **more: object
) -> QuarantineEntry:
    value = codec.encode_events([GOOD]) if payload is None else payload
    return QuarantineEntry((topic, partition, 5, -1), WORKSPACE, b"", value, **more)  # type: ignore[arg-type]


def erased(*contacts: str) -> Erased:
    erased = Erased()
    erased.add(
        Erasure(
            id="era_1",
            workspace=WORKSPACE,
            environment=ENVIRONMENT,
            created_ms=NOW_MS,
            contacts=contacts,
            erased_ms=NOW_MS + 1_000_000,
        )
    )
    return erased


def test_a_record_that_can_be_read_again_is_replayed() -> None:
    assert judge(entry(), Erased(), 4).replays
    assert judge(entry(replays=MOST_REPLAYS - 1, outcome="replaying"), Erased(), 4).replays


def test_a_record_of_several_is_replayed_as_long_as_one_of_them_may_be() -> None:
    other = event("external_id:u3")
    both = codec.encode_events([GOOD, other, FOREIGN])
    assert judge(entry(payload=both), erased(cid("external_id:u1")), 4).replays
    assert judge(entry(payload=both), erased(cid("external_id:u1"), cid("external_id:u3")), 4).code == "erased"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (entry(payload=b"x" * MAX_PAYLOAD), "cut"),
        (entry(payload=b"poison"), "undecodable"),
        (entry(payload=b""), "undecodable"),
        (entry(topic=topics.MERGES.name), "compacted_topic"),
        (entry(topic=topics.CONTROL.name), "compacted_topic"),
        (entry(topic="elsewhere"), "no_such_place"),
        (entry(topic="headwater-identity-map-changelog"), "no_such_place"),
        (entry(partition=4), "no_such_place"),
        (entry(partition=-1), "no_such_place"),
        (entry(replays=MOST_REPLAYS), "replayed_too_often"),
        (entry(payload=codec.encode_events([FOREIGN])), "foreign_contact"),
        (entry(outcome="replayed"), "already_replayed"),
        (entry(outcome="discarded"), "already_discarded"),
    ],
)
def test_what_is_not_replayed_says_why(wrong: QuarantineEntry, code: str) -> None:
    verdict = judge(wrong, Erased(), 4)
    assert (verdict.replays, verdict.action, verdict.code) == (False, "refuse", code)
    assert verdict.message
