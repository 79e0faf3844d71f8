"""Callers that keep aiokafka quiet may overlap: its level is what it was when the last of them has left."""

import logging

from schemas.service.kafka import QuietClients


def test_overlapping_callers_leave_the_level_as_it_was() -> None:
    clients, quiet = logging.getLogger("aiokafka"), QuietClients()
    before = clients.level
    quiet.__enter__()
    quiet.__enter__()
    quiet.__exit__()
    assert not clients.isEnabledFor(logging.CRITICAL)
    quiet.__exit__()
    assert clients.level == before
