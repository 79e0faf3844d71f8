"""Definitions, tasks, quarantine and health of data as the read API shows them."""
