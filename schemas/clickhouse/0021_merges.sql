-- The sink inserts small blocks all the time. With the default of 5 the engine merged the whole of a table of up to some
-- 100,000 rows with every few blocks: of 1,200 rows/s that were inserted 70,000 to 185,000 rows/s were merged.
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
