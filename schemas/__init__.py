"""What the stages agree on: records, topics, codecs, DDL, settings; every stage imports it, it imports none."""
