"""Requests to read a topic again: what a commit says of them, and where a partition goes on."""

from sinks.clickhouse.outcome_rows import OUTCOMES
from sinks.clickhouse.rereads import UNMARKED, Mark, Reread, Rereads, encode, mark_of, stream_of, streams_of
from sinks.clickhouse.resume import Bounds
from sinks.clickhouse.streams import STREAMS


def asked(number: int, until: int) -> Reread:
    return Reread(id=number, topic="changes", until={0: until}, reason="test")


def test_a_commit_tells_of_the_request_until_it_is_through() -> None:
    mark = Mark(17, 100)
    assert mark_of(mark.at(99)) == mark
    assert mark_of(mark.at(100)) == Mark(17, 0)
    assert UNMARKED.at(5) == ""
    for foreign in ("", "a b", "-1", "\u0663 4"):
        assert mark_of(foreign) in {UNMARKED, Mark(4, 0)}


def test_a_request_begins_once_and_goes_on_where_it_was() -> None:
    rereads = Rereads()
    rereads.apply(*encode(asked(17, 100)))
    mark = rereads.mark("changes", 0, UNMARKED)
    assert Bounds(committed=120, first=3, end=120, mark=mark).again_from == 3
    half_way = mark_of(mark.at(50))
    mark = rereads.mark("changes", 0, half_way)
    assert Bounds(committed=50, first=3, end=120, noted=half_way, mark=mark).again_from == 50
    through = mark_of(mark.at(100))
    assert Bounds(committed=100, first=3, end=120, noted=through, mark=through).again_from is None
    assert rereads.mark("resolved", 0, UNMARKED) == UNMARKED


def test_a_newer_request_takes_an_unfinished_one_in() -> None:
    rereads = Rereads()
    for reread in (asked(17, 100), asked(18, 90)):
        rereads.apply(*encode(reread))
    assert rereads.mark("changes", 0, Mark(17, 100)) == Mark(18, 100)


def test_what_is_no_request_is_passed_over() -> None:
    rereads = Rereads()
    for key, value in ((None, b"x"), (b"poison", b"x"), (b"-/reread/1", b"{"), (b"local/reread/1", b"{}")):
        rereads.apply(key, value)
    key, value = encode(asked(17, 100))
    rereads.apply(key, value)
    assert rereads.newest_id() == 17
    rereads.apply(key, None)
    assert rereads.newest_id() == 0


def test_every_table_that_a_stream_or_its_views_fill_knows_its_stream() -> None:
    for stream in STREAMS:
        for table in {*stream.tables} - {OUTCOMES}:
            assert all(stream_of(name) is stream for name in (table.name, *table.views))
    assert stream_of("squashes") is None
    assert stream_of(OUTCOMES.name) is next(stream for stream in STREAMS if OUTCOMES in stream.checkpoints)


def test_a_table_that_several_topics_fill_knows_them_all() -> None:
    fillers = [stream for stream in STREAMS if OUTCOMES in stream.tables]
    assert len(fillers) == 3
    assert {id(stream) for stream in streams_of(OUTCOMES.name)} == {id(stream) for stream in fillers}
    assert streams_of("squashes") == []
