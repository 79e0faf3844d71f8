"""The live view: records of the topics in; one row per event, completed in place at each viewer, out."""
