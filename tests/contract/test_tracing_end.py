"""A process that ends with spans that it has not sent: a collector gets them, in every supported Python."""

import os
import subprocess
import sys

import pytest

from tests.support.otlp_collector import otlp_collector
from tests.support.services import ROOT

pytestmark = pytest.mark.e2e

PROGRAM = """
from schemas.tracing.start import started

tracer = started("ending")
tracer.request("POST", "/v1/events", b"").end()
"""
MINUTE_MS = "60000"
"""The delay between two sendings of spans: the end of the process comes first."""


def test_a_process_sends_its_last_spans_before_it_ends() -> None:
    with otlp_collector() as collector:
        sampled = {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_BSP_SCHEDULE_DELAY": MINUTE_MS}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**os.environ, **collector.variables, **sampled},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert ended.stderr == ""
    assert [span.name for span in collector.spans] == ["POST /v1/events"]
