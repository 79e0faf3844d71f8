"""A running cluster in, a folder with all that it knows out; and such a folder in, the same cluster made anew, out."""
