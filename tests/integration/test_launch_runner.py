"""Launches by the real sender: nobody twice, nobody lost, whatever is killed; SQL decides as the consents do."""

import itertools
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import topics
from schemas.control import control_state
from schemas.control.consent import consent_of
from schemas.control.control_state import Campaign
from schemas.control.definitions import Cap, NeededConsent
from schemas.control.launch_jobs import KIND, Audience, LaunchJob, LaunchJobs
from schemas.records import codec
from schemas.records.records import Event
from sinks.clickhouse.rows import CONTACTS, MEMBERSHIP_CHANGES
from sinks.launch import runner
from sinks.launch.verdicts import LISTED, verdicts
from tests.integration.contact_rows import contact, member
from tests.support.builders import ENVIRONMENT, NOW_MS, WORKSPACE, cid
from tests.support.services import fresh_settings
from tests.support.sink_pipeline import ReadPipeline, process, reads
from tests.support.waiting import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.clickhouse]

SEGMENT = "seg_1"
PEOPLE = 2 * runner.PAGE + 100
STATES = (True, False, None)


def campaign(**more: Any) -> Campaign:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS, "updated_ms": NOW_MS}
    body = {"id": "cmp_1", "name": "Hello", "channel": "email", "status": "active", "number": 1}
    return Campaign(**home, **body | {"delivery": {"topic": "mail"}} | more)


def job(number: int, **more: Any) -> LaunchJob:
    home = {"workspace": WORKSPACE, "environment": ENVIRONMENT, "created_ms": NOW_MS + number}
    body = {"campaign": "cmp_1", "audience": Audience(segment=SEGMENT), "key_id": "key_1"}
    return LaunchJob(id=f"lch_{number}", **home, **body | more)


async def ask(pipe: ReadPipeline, job: LaunchJob) -> None:
    await pipe.define(KIND, job)


async def read(pipe: ReadPipeline, topic: topics.Topic) -> list[Any]:
    """Every record that is in a topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=pipe.settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = range(topics.partition_count(topic, pipe.settings))
        places = [TopicPartition(topics.name(topic, pipe.settings), p) for p in parts]
        consumer.assign(places)
        ends, fetched = await consumer.end_offsets(places), []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                fetched += records
        return fetched
    finally:
        await consumer.stop()


async def known(pipe: ReadPipeline, job: LaunchJob) -> LaunchJob:
    jobs = LaunchJobs()
    for record in await read(pipe, topics.CONTROL):
        jobs.take(record)
    current = jobs.get(WORKSPACE, ENVIRONMENT, job.id)
    assert current is not None
    return current


async def events_of(pipe: ReadPipeline, job: LaunchJob) -> list[Event]:
    events = [event for record in await read(pipe, topics.EVENTS) for event in codec.decode_events(record.value)]
    return [event for event in events if orjson.loads(event["properties"])["launch_id"] == job.id]


async def test_a_sender_that_is_killed_launches_nobody_twice_and_loses_nobody(
    kafka: str, clickhouse: str, tmp_path: Path
) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka, clickhouse=clickhouse)
    async with reads(settings) as pipe:
        await pipe.define("campaign", campaign())
        names = [f"external_id:u{n}" for n in range(PEOPLE)]
        profiles = [
            contact(name, email=f"u{n}@x.io", consents={"email_marketing": n % 10 != 0}) for n, name in enumerate(names)
        ]
        await pipe.store(CONTACTS, *profiles)
        await pipe.store(MEMBERSHIP_CHANGES, *(member(name, SEGMENT, 1) for name in names))
        first, second = job(1), job(2, audience=Audience(contact=cid(names[1])))
        async with process(settings, "webhooks") as child:
            await ask(pipe, first)
            await eventually(lambda: _is_under_way(pipe, first), "a page", 60)
            child.kill()
            child.wait()
        done = await known(pipe, first)
        assert done.total == PEOPLE
        # as if the crash had come between a page's events and the word that it is done
        await ask(pipe, first)
        async with process(settings, "webhooks"):
            await ask(pipe, second)
            for launch in (first, second):
                await eventually(partial(_is_done, pipe, launch), launch.id, 120, every_s=0.5)
        done = await known(pipe, first)
        refusing = len(range(0, PEOPLE, 10))
        assert (done.total, done.launched, done.skipped) == (PEOPLE, PEOPLE - refusing, {"no_consent": refusing})
        events = await events_of(pipe, first)
        assert len(events) > PEOPLE - refusing, "pages were made again"
        per_contact = {event["contact_id"]: event["event_id"] for event in events}
        assert len(per_contact) == PEOPLE - refusing
        assert {(e["contact_id"], e["event_id"], e["message_id"]) for e in events} == {
            (e["contact_id"], per_contact[e["contact_id"]], e["message_id"]) for e in events
        }, "a repeat is a copy"
        assert len({event["message_id"] for event in events}) == PEOPLE - refusing
        (alone,) = await events_of(pipe, second)
        assert alone["contact_id"] == cid(names[1])


async def _is_under_way(pipe: ReadPipeline, job: LaunchJob) -> bool:
    return (await known(pipe, job)).after != ""


async def _is_done(pipe: ReadPipeline, job: LaunchJob) -> bool:
    return (await known(pipe, job)).done_ms > 0


async def test_sql_decides_as_the_rules_of_consent_do(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka, clickhouse=clickhouse)
    consents: dict[str, dict[str, Any]] = {}
    for marketing, plain in itertools.product(STATES, STATES):
        consents_given = {name: s for name, s in (("email_marketing", marketing), ("email", plain)) if s is not None}
        consents[f"external_id:c{len(consents)}"] = consents_given
    async with reads(settings) as pipe:
        profiles = [contact(name, email=f"{name[-2:]}@x.io", consents=given) for name, given in consents.items()]
        await pipe.store(CONTACTS, *profiles, contact("external_id:nowhere", consents={"email": True}))
        for kind, chosen in itertools.product(
            ("standard", "trigger"), (None, NeededConsent(name="email"), NeededConsent(required="not_refused"))
        ):
            made_campaign = campaign(kind=kind, consent=chosen)
            verdict_query = verdicts(
                made_campaign, [made_campaign], LISTED, launch_id="", at_ms=NOW_MS, override_consent=False
            )
            ids = [cid(name) for name in (*consents, "external_id:nowhere")]
            rows = await pipe.rows(verdict_query.sql, **verdict_query.parameters, audience=ids)
            results = {row[0]: row[-1] for row in rows}
            expected = {
                cid(n): "" if consent_of(made_campaign).allows(given) else "no_consent" for n, given in consents.items()
            }
            assert results == expected | {cid("external_id:nowhere"): "no_address"}, (kind, chosen)
            counts = dict(await pipe.rows(verdict_query.counts, **verdict_query.parameters, audience=ids))
            assert counts == Counter(results.values())


async def test_a_paused_campaign_waits_and_an_archived_one_ends(kafka: str, clickhouse: str, tmp_path: Path) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka, clickhouse=clickhouse)
    now = time.time_ns() // 1_000_000
    async with reads(settings) as pipe:
        await pipe.define("campaign", campaign(status="paused"))
        await pipe.define("campaign", campaign(id="cmp_2", cap=Cap(messages=1, within="7d")))
        await pipe.store(CONTACTS, contact("external_id:u1", email="u1@x.io", consents={"email": True}))
        waits, goes = job(1, audience=Audience(contact=cid("external_id:u1"))), job(2, campaign="cmp_2")
        broken = job(3, campaign="cmp_2", audience=Audience(rule={"attribute": "x", "op": "near"}))
        async with process(settings, "webhooks"):
            for launch in (waits, goes.model_copy(update={"audience": waits.audience}), broken):
                await ask(pipe, launch.model_copy(update={"created_ms": now}))
            await eventually(lambda: _is_done(pipe, goes), "the other", 60, every_s=0.5)
            assert (await known(pipe, goes)).launched == 1
            await eventually(lambda: _is_done(pipe, broken), "the broken one", 60, every_s=0.5)
            assert (await known(pipe, broken)).status == "failed"
            assert not (await known(pipe, waits)).done_ms
            await pipe.define("campaign", campaign(status="archived"))
            await eventually(lambda: _is_done(pipe, waits), "its end", 60, every_s=0.5)
            ended = await known(pipe, waits)
            assert (ended.status, ended.launched) == ("failed", 0)
            assert control_state.encode(KIND, ended)
