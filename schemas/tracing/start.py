"""The environment in, the tracer of this process out; ``None`` if tracing is off.

1. Tracing is on where ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``..._TRACES_ENDPOINT``) is set and ``headwater[otel]`` is
   installed; else no code of OpenTelemetry is imported. The other ``OTEL_*`` variables mean what its SDK says
   (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
2. Without ``OTEL_TRACES_SAMPLER`` one request in a hundred is sampled, and each that its client has sampled.
3. Spans that a process has not sent when it dies are lost; nothing else depends on them.
"""

import atexit
import logging
import os

from schemas.tracing.spans import Tracer

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
RATIO = 0.01
"""Share of requests that are sampled, unless a variable says another."""


def started(process: str) -> Tracer | None:
    """The tracer of this process, ``headwater-<process>`` in the collector; ``None`` where tracing is off."""
    if not any(map(os.environ.get, ENDPOINTS)) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        tracer = _tracer(process)
    except ImportError:
        log.warning("%s is set, but spans need an extra: pip install 'headwater[otel]'", ENDPOINTS[0])
        return None
    except ValueError as error:  # a variable that is no number, for one
        log.warning("tracing is off: %s", error)
        return None
    atexit.register(tracer.flush)
    log.info("spans go to the OpenTelemetry collector")
    return tracer


def _tracer(process: str) -> Tracer:
    # most processes run without tracing, and a small installation without the packages
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - same
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - same
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - same
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio  # noqa: PLC0415 - same

    from schemas.tracing.otel import OtelTracer  # noqa: PLC0415 - same

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or f"headwater-{process}"})
    sampler = None if os.environ.get("OTEL_TRACES_SAMPLER") else ParentBasedTraceIdRatio(RATIO)
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OtelTracer(provider, f"headwater-{process}")
