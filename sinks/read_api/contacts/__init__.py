"""Contacts and events: stored rows in; the shapes of the read API out."""
