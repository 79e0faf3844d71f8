"""Events in; the same events with their contact out. Links in; merges out."""
