"""Shared by all requests of the edge: bodies, rate limits, CORS, idempotency, the client of the read API."""
