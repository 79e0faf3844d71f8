"""Events in, the same events with the contact they belong to out; links in, merges out."""
