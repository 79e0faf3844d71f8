"""The pipeline's outputs: Kafka's records into ClickHouse and webhooks, ClickHouse's rows to readers."""
