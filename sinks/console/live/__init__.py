"""The live view: records of the topics in, one row an event out, filled in place at each viewer."""
