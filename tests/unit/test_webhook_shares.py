"""Shares of the contacts among senders of webhooks: each partition has one, and what others plan again stays done."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemas.records.codec import encode_delivery
from schemas.records.deliveries import FAILED, PENDING, SUCCEEDED, WebhookDelivery
from schemas.settings import Settings
from sinks.delivery.lease import GROUP, name_of_share, partitions_of, share_of
from sinks.webhooks.process import opened
from sinks.webhooks.store import Store


@pytest.mark.parametrize(("senders", "partitions"), [(1, 1), (1, 4), (2, 4), (3, 4), (4, 4), (5, 4), (7, 24)])
def test_each_partition_is_in_one_share(senders: int, partitions: int) -> None:
    all_settings = [Settings(worker=n, webhook_senders=senders, partitions=partitions) for n in range(senders)]
    counts = Counter(p for settings in all_settings for p in partitions_of(settings))
    assert counts == dict.fromkeys(range(partitions), 1)
    assert len({name_of_share(GROUP, settings) for settings in all_settings}) == senders
    one_more = all_settings[0].model_copy(update={"worker": senders})
    assert share_of(one_more) == 0, "it stands by for the first"


def test_the_first_share_has_the_names_of_a_sender_that_is_alone() -> None:
    names = {name_of_share(GROUP, Settings(webhook_senders=n, topic_prefix="p.")) for n in (1, 2, 3)}
    assert names == {f"p.{GROUP}"}


class DeliveryRecord:
    def __init__(self, delivery: WebhookDelivery) -> None:
        self.partition, self.offset = 0, 0
        self.key, self.value = delivery["id"].encode(), encode_delivery(delivery)


def delivery(status: str, attempts: int, **more: Any) -> WebhookDelivery:
    delivery = WebhookDelivery(
        id="dlv_1",
        webhook_id="whk_1",
        workspace="w",
        environment="production",
        contact_id="",
        event_id="evt",
        type="t",
        seq=1,
        status=status,
        attempts=attempts,
        due_ms=1,
        updated_ms=1,
        body=b"{}",
    )
    delivery.update(more)  # type: ignore[typeddict-item]  # tests name real fields
    return delivery


@pytest.mark.parametrize(
    ("first", "again", "status"),
    [
        (delivery(SUCCEEDED, 1), delivery(PENDING, 0), SUCCEEDED),
        (delivery(FAILED, 9), delivery(PENDING, 0), FAILED),
        (delivery(SUCCEEDED, 1), delivery(PENDING, 1), PENDING),  # one more attempt was asked
        (delivery(SUCCEEDED, 1, contact_id="c"), delivery(PENDING, 0, contact_id="c"), PENDING),
    ],
)
def test_what_another_share_plans_again_stays_done(
    tmp_path: Path, first: WebhookDelivery, again: WebhookDelivery, status: str
) -> None:
    store = Store(tmp_path)
    for state in (first, again):
        store.apply(DeliveryRecord(state))
    delivery = store.delivery("dlv_1")
    store.close()
    assert delivery is not None
    assert delivery["status"] == status


def test_a_disk_is_kept_in_its_share_and_emptied_in_another(tmp_path: Path) -> None:
    def kept(settings: Settings) -> bool:
        store = opened(settings)
        is_there = store.delivery("dlv_1") is not None
        store.apply(DeliveryRecord(delivery(PENDING, 0)))
        store.close()
        return is_there

    alone = Settings(home=tmp_path)
    first, second = (Settings(home=tmp_path, webhook_senders=2, worker=n) for n in (0, 1))
    assert [kept(settings) for settings in (alone, alone, first, first, second, alone)] == [
        *(False, True),
        *(False, True),
        *(False, False),
    ]
