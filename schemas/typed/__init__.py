"""Properties that a workspace has as typed columns: what a row of `events` says of them, in Python and in SQL."""
