"""What leaves the pipeline: Kafka's records into ClickHouse, ClickHouse's rows to readers."""
