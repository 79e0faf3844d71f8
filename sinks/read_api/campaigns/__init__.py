"""Campaigns as the read API shows them."""
