"""Requests in, canonical events on Kafka and an answer out."""
