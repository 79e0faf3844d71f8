"""The embedded ClickHouse behind its HTTP interface, for one machine."""
