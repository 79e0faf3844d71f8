"""The contract between the stages: records, topics, codecs, DDL, settings. It imports no stage."""
