"""ClickHouse's rows and the control state in, the reads of the public API out."""
