"""Launches of campaigns: which contacts are sent a message, and the messages' events."""
