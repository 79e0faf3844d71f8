"""Shared parts of all console pages: sessions, the content policy, the API client, files and templates."""
