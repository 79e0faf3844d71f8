"""The sink's inserts, of several shards."""
