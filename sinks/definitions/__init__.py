"""Tables of names for the ids in other tables: segments, campaigns, webhooks, event types; the sink keeps them."""
