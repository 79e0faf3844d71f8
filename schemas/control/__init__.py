"""Definitions of workspaces, and the rights of keys."""
