-- The tables of the sink's blocks, which may have a few rows ten times a second. By default ClickHouse merges about five
-- parts, and counts each as some MiB larger than it is: every few blocks then rewrote all of a table of some
-- MiB, 10,000 to 185,000 rows/s for 1,200 inserted. Of about ten parts it is 2,000 to 11,000; a table has up to some 14
-- active parts under load, where it had 7.
ALTER TABLE {database}.events MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.duplicates MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.contacts MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.contact_memberships MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.memberships MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.membership_changes MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.links MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.contact_overrides MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.contact_merges MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.refused_links MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.retracted_links MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.consent_changes MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.accepted MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.event_outcomes MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.delivery_attempts MODIFY SETTING merge_selector_base = 10;
ALTER TABLE {database}.quarantine MODIFY SETTING merge_selector_base = 10;
