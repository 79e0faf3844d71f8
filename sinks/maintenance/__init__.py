"""Maintenance of the tables: migrations, erasures, repairs, compaction of contact ids."""
