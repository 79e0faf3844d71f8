"""The edge's copy of the merge map: on disk, versions obeyed, and where it stopped is kept with it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from ingest.events import merge_map
from ingest.events.merge_map import MergeMapReplica
from schemas.control.definitions import Erasure
from schemas.control.erasure import Erased
from schemas.records import codec
from schemas.records.records import Identifier, Merge
from tests.support.builders import cid


@dataclass
class Read:
    partition: int
    offset: int
    value: bytes | None


def contact(name: str) -> str:
    return cid(f"external_id:{name}", "w", "e")


def merge(loser: str, winner: str, version: int) -> bytes:
    return codec.encode_merge(
        Merge(
            workspace="w",
            environment="e",
            loser=loser,
            winner=winner,
            version=version,
            at_ms=0,
            event_id="evt",
            identifier=Identifier(type="email", value="a@b.c"),
        )
    )


def erasure(id_: str, contact_id: str, erased_ms: int = 0) -> Erasure:
    return Erasure(id=id_, workspace="w", environment="e", created_ms=0, contacts=(contact_id,), erased_ms=erased_ms)


def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "v", 4)
    assert view.positions() == {}
    view.apply(Read(2, 7, merge(contact("a"), contact("b"), 1)))
    view.close()
    view = MergeMapReplica(tmp_path / "v", 4)
    assert view.positions() == {2: 8}
    assert view.winner(contact("a")) == contact("b")
    assert view.winner(contact("x")) == contact("x")
    assert view.winner("") == ""


def test_the_highest_version_wins_and_repeats_change_nothing(tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "v", 4)
    for offset, (winner, version) in enumerate(
        [(contact("b"), 300), (contact("c"), 5), (contact("b"), 300), (contact("d"), 70_000)]
    ):
        view.apply(Read(0, offset, merge(contact("a"), winner, version)))
    assert view.winner(contact("a")) == contact("d")


def test_bytes_that_are_no_merge_are_passed_over(tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "v", 4)
    view.apply(Read(0, 0, b"nonsense"))
    view.apply(Read(0, 1, None))
    assert view.positions() == {0: 2}


def test_a_merge_that_names_another_tenants_contact_is_passed_over(tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "v", 4)
    foreign = cid("external_id:a", "other", "e")
    view.apply(Read(0, 0, merge(foreign, contact("b"), 1)))
    view.apply(Read(0, 1, merge(contact("c"), foreign, 1)))
    assert view.winner(foreign) == foreign
    assert view.winner(contact("c")) == contact("c")
    assert view.positions() == {0: 2}


def test_an_erasure_that_is_read_after_the_start_covers_merges_that_are_read_again(tmp_path: Path) -> None:
    """The edge makes its copy before it reads `control`: what is shared with it is empty then."""
    erased = Erased()
    view = MergeMapReplica(tmp_path / "v", 4, erased)
    record = merge(contact("a"), contact("b"), 1)
    erased.add(erasure("ers_1", contact("a"), codec.decode_merge(record)["at_ms"]))
    view.apply(Read(0, 0, record))
    assert view.winner(contact("a")) == contact("a")


@pytest.mark.parametrize("room", [0, 600, merge_map.CACHE_BYTES])
@pytest.mark.parametrize("seed", range(4))
def test_cached_rows_are_those_on_disk(room: int, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merges of few ids, erasures and reads in any order, with room for none, few and all rows."""
    monkeypatch.setattr(merge_map, "CACHE_BYTES", room)
    view, random = MergeMapReplica(tmp_path / "v", 4), Random(seed)
    ids = [contact(str(n)) for n in range(8)]
    expected: dict[str, tuple[int, str]] = {}
    for offset in range(300):
        loser, winner, version = random.choice(ids), random.choice(ids), random.randrange(100)
        if random.random() < 0.05:
            view.forget(erasure(f"ers_{offset}", loser))
            expected.pop(loser, None)
        else:
            view.apply(Read(0, offset, merge(loser, winner, version)))
            if version >= expected.get(loser, (-1, ""))[0]:
                expected[loser] = version, winner
        asked = random.choice(ids)
        assert view.winner(asked) == expected.get(asked, (0, asked))[1]
    view.close()
    view = MergeMapReplica(tmp_path / "v", 4)
    assert [view.winner(i) for i in ids] == [expected.get(i, (0, i))[1] for i in ids]


async def test_who_waits_for_a_merge_is_told_of_it_and_of_no_other(tmp_path: Path) -> None:
    view = MergeMapReplica(tmp_path / "v", 4)
    a, b, c, x, y = map(contact, "abcxy")
    waiting = asyncio.create_task(view.joined([a, b], 5))
    late = asyncio.create_task(view.joined([a, c], 0.05))
    await asyncio.sleep(0)
    view.apply(Read(0, 1, merge(x, y, 1)))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    view.apply(Read(0, 2, merge(b, a, 2)))
    assert await waiting
    assert not await late
    assert await view.joined([b, a], 0)
    assert view.joined_lately([b])
    assert not view.joined_lately([a, c])
    assert not view._awaited, "nothing is kept of those that wait no longer"
    view.close()
