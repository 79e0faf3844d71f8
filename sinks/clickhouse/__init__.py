"""Records of four topics in, rows of ClickHouse tables out; the tables are the checkpoint."""
