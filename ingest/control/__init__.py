"""Definitions of workspaces in, records on `control` out."""
