"""Names for what other tables hold ids of: definitions and types of events, kept beside the sink's lanes."""
