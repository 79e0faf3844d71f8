"""Accepted events in; who did it (identity) and what that changes (segments) out."""
