"""Distributed traces: their contexts in Kafka headers, and spans for an OpenTelemetry collector."""
