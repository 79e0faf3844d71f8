"""Accepted events in; the contact of each (identity) and the memberships that it changes (segments) out."""
