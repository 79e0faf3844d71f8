"""Blocks of rows in; inserts into the shards of a cluster out."""
