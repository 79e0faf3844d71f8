"""Writes about one contact that are no events: upserts, splits, erasures, lists."""
