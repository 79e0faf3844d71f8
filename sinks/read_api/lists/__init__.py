"""Whole lists as one answer, row by row: CSV and NDJSON."""
