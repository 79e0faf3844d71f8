"""Contacts as the read API shows them."""
