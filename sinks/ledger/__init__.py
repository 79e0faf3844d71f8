"""The ledger: accepted events against their outcomes, by minute."""
