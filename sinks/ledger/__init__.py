"""What the edges accepted against what became of it."""
