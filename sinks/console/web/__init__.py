"""Shared by all pages of the console: sessions, the content policy, the API's client, files and templates."""
