"""What every process shares: Kafka, HTTP, disk, signals, signs of life."""
