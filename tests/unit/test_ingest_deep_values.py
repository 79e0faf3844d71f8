"""Values that nest deeper than can be written, in each place where the edge writes them: refused, never a 5xx."""

from pathlib import Path

import orjson
import pytest

from ingest.trial.rejected import item_excerpt
from tests.support.edge import SECRET, MemoryLog, client_of, memory_edge

DEEP = '{"a":' * 300 + "1" + "}" * 300
CALL = '{"type":"track","event":"a","userId":"u"}'
POSTHOG = '{"api_key":"pk_dev_local","batch":[{"event":"a","distinct_id":"u"},%s]}'


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/events", '{"type":"a","user_id":"u","properties":%s}', 422),
        ("/v1/events", '{"type":"a","user_id":"u","timestamp":%s}', 422),
        ("/v1/contacts/batch", '{"contacts":[{"email":"a@b.example","attributes":%s}]}', 422),
        ("/v1/contacts/batch", '{"contacts":[{"email":"a@b.example"},{"email":"c@b.example","attributes":%s}]}', 202),
        ("/v1/track", '{"event":"a","userId":"u","timestamp":%s}', 400),
        ("/v1/batch", f'{{"batch":[{CALL}],"context":%s}}', 400),
        ("/v1/batch", f'{{"batch":[{CALL},{{"type":"track","event":"a","userId":"u","timestamp":%s}}]}}', 400),
        ("/batch", POSTHOG % '{"event":"a","distinct_id":%s}', 400),
        ("/batch", POSTHOG % '{"event":"a","distinct_id":"u","timestamp":%s}', 400),
        (
            "/batch",
            POSTHOG % '{"event":"a","distinct_id":"u","timestamp":"2026-01-01","properties":%s}',
            400,
        ),
    ],
)
async def test_a_deep_value_is_refused(tmp_path: Path, path: str, body: str, status: int) -> None:
    log = MemoryLog()
    async with client_of(memory_edge(tmp_path, log)) as client:
        headers = {**SECRET, "Content-Type": "application/json"}
        answer = await client.post(path, content=body.replace("%s", DEEP), headers=headers)
    assert answer.status_code == status, answer.text
    assert len(log.records) == ("},{" in body), "the sound item of a batch is taken"


def test_a_refused_item_that_nests_too_deeply_is_listed_without_its_text() -> None:
    assert item_excerpt({"type": "a", "properties": orjson.loads(DEEP)}) == "(nested too deeply)"
