"""What keeps the tables right beside inserts: migrations, erasures, compaction of contact ids."""
