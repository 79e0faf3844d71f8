"""What many requests ask at a time costs few queries, and none of them is older than its question."""

import asyncio
from collections.abc import Sequence

import pytest

from schemas.errors import ApiError
from sinks.read_api.contacts.query_batcher import MOST, QueryBatcher
from sinks.read_api.request.tenant import Tenant

HERE, THERE = Tenant("w1", "production"), Tenant("w2", "production")


class Table:
    """Answers each question with what stood there when the query began."""

    def __init__(self) -> None:
        self.value = 0
        self.queries: list[tuple[str, int]] = []
        self.fails = False

    async def ask(self, home: Tenant, questions: Sequence[int]) -> list[tuple[int, int]]:
        self.queries.append((home.workspace, len(questions)))
        seen = self.value
        await asyncio.sleep(0.01)
        if self.fails:
            raise ApiError("unavailable", "away")
        return [(question, seen) for question in questions]


async def test_an_answer_is_never_older_than_its_question() -> None:
    table = Table()
    gathered = QueryBatcher(table.ask)

    async def write_and_read(n: int) -> None:
        await asyncio.sleep(n / 1000)
        table.value = max(table.value, n)
        question, seen = await gathered.ask(HERE, n)
        assert (question, seen >= n) == (n, True)

    await asyncio.gather(*(write_and_read(n) for n in range(200)))
    assert len(table.queries) < 30, "200 questions in 0.2 s are a few queries"


async def test_one_alone_is_asked_at_once_and_a_round_is_bounded() -> None:
    table = Table()
    gathered = QueryBatcher(table.ask)
    assert await gathered.ask(HERE, 7) == (7, 0)
    answers = await asyncio.gather(*(gathered.ask(HERE, n) for n in range(MOST * 2 + 1)))
    assert [question for question, _ in answers] == list(range(MOST * 2 + 1))
    assert max(size for _, size in table.queries) <= MOST


async def test_workspaces_do_not_wait_for_each_other() -> None:
    table = Table()
    gathered = QueryBatcher(table.ask)
    await asyncio.gather(gathered.ask(HERE, 1), gathered.ask(THERE, 2))
    assert sorted(table.queries) == [("w1", 1), ("w2", 1)]


async def test_a_query_that_fails_fails_its_questions_and_no_later_ones() -> None:
    table = Table()
    gathered = QueryBatcher(table.ask)
    table.fails = True
    first = asyncio.gather(gathered.ask(HERE, 1), gathered.ask(HERE, 2), return_exceptions=True)
    assert all(isinstance(outcome, ApiError) for outcome in await first)
    table.fails = False
    assert await gathered.ask(HERE, 3) == (3, 0)


async def test_a_request_that_gives_up_leaves_the_others_their_answer() -> None:
    gathered = QueryBatcher(Table().ask)
    gone = asyncio.create_task(gathered.ask(HERE, 1))
    kept = asyncio.create_task(gathered.ask(HERE, 2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await kept == (2, 0)
    with pytest.raises(asyncio.CancelledError):
        await gone
