"""A pytest plugin: tests of tracking get the fixture ``headwater``, which shows accepted and refused events.

``HEADWATER_URL`` and ``HEADWATER_KEY`` (or a profile) name a test environment; each test begins with nothing in it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from deploy.testing.probe import TrackingProbe


@pytest.fixture
def headwater() -> "Iterator[TrackingProbe]":
    """A test environment with reset counts; a refused event does not fail the test by itself."""
    from deploy.testing.probe import TrackingProbe  # noqa: PLC0415 - most tests do not ask for it

    probe = TrackingProbe()
    probe.reset()
    yield probe
    probe.close()
