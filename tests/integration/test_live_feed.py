"""The live view's feed: somebody who comes while it ends is served, and so is who watches while it breaks."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from schemas import topics
from schemas.records import codec
from schemas.settings import Settings
from sinks.console.live.feed import LiveFeed
from sinks.console.live.viewer import LiveViewer
from tests.support.builders import ENVIRONMENT, WORKSPACE, event
from tests.support.services import fresh_settings
from tests.support.waiting import eventually
from tests.support.webhook_sender import Upstream, now_ms, upstream

pytestmark = pytest.mark.kafka


async def send(up: Upstream, settings: Settings, name: str) -> None:
    made_event = event("external_id:u", event_id=name, received_ms=now_ms())
    await up._producer.send_and_wait(
        topics.name(topics.EVENTS, settings), codec.encode_events([made_event]), partition=0
    )


async def seen(feed: LiveFeed, viewer: LiveViewer, name: str) -> None:
    async def came() -> bool:
        await feed.wait(0.5)
        return name in {row.event_id for row in viewer.take()[0]}

    await eventually(came, f"{name} is shown", 20)


async def test_who_comes_while_it_ends_or_breaks_is_served(tmp_path: Path, kafka: str) -> None:
    settings = fresh_settings(tmp_path, kafka=kafka)
    feed = LiveFeed(settings, linger_s=0.0)
    async with AsyncExitStack() as stack:
        up = await stack.enter_async_context(upstream(settings))
        stack.push_async_callback(feed.stop)
        for turn in range(3):
            viewer = LiveViewer(WORKSPACE, ENVIRONMENT)
            async with feed.watching(viewer, None):
                await send(up, settings, f"evt_{turn}")
                await seen(feed, viewer, f"evt_{turn}")
            async with asyncio.timeout(20):
                # when there are none it has decided to end, and is not closed yet
                while feed.is_running and feed.board.viewers:
                    await asyncio.sleep(0)
        viewer = LiveViewer(WORKSPACE, ENVIRONMENT)
        async with feed.watching(viewer, None):
            await seen(feed, viewer, "evt_2")
            assert feed._task is not None
            feed._task.cancel()
            await asyncio.gather(feed._task, return_exceptions=True)
            await send(up, settings, "evt_later")
            await seen(feed, viewer, "evt_later")
