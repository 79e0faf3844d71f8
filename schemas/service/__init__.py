"""Parts that all processes share: Kafka, HTTP, disk, signals, heartbeats."""
