"""Who waits for events is told when each of them is stored and applied, also where they share an id."""

from types import SimpleNamespace

import pytest

from ingest.events.receipts import Receipts
from schemas.records.codec import encode_receipts
from schemas.records.records import APPLIED, STORED, Event, Receipt
from schemas.records.sameness import event_key
from tests.support.builders import event

SOME = [event("external_id:a"), event("external_id:b"), event("external_id:a", type="purchase")]


def told(event: Event, stage: str) -> SimpleNamespace:
    receipt = Receipt(event_id=event_key(event), task_id="t", stage=stage, entered=["seg_1"], left=[])
    return SimpleNamespace(key=b"edge", value=encode_receipts([receipt]))


@pytest.mark.parametrize("last", range(3))
async def test_one_id_of_three_events_is_waited_for_three_times(last: int) -> None:
    receipts = Receipts("edge")
    waiter = receipts.expect("t", [event_key(event) for event in SOME])
    for stage in (STORED, APPLIED):
        for some_event in SOME:
            if some_event is not SOME[last]:
                receipts.apply(told(some_event, stage))
    receipts.apply(told(SOME[last], STORED))
    assert not waiter.done.done()
    receipts.apply(told(SOME[last], APPLIED))
    assert await receipts.wait("t", 1)


async def test_a_copy_in_the_same_request_hides_nothing_that_the_first_changed() -> None:
    receipts = Receipts("edge")
    waiter = receipts.expect("t", [event_key(SOME[0])])
    receipts.apply(told(SOME[0], APPLIED))
    copy = Receipt(event_id=event_key(SOME[0]), task_id="t", stage=APPLIED, entered=[], left=[])
    receipts.apply(SimpleNamespace(key=b"edge", value=encode_receipts([copy])))
    assert waiter.entered == {event_key(SOME[0]): ["seg_1"]}
