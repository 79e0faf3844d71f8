"""Records in quarantine: which of them can be replayed, and the process that replays them."""
