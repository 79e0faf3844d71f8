"""The rule language: parsed, evaluated on a stream, explained, and written as SQL."""
