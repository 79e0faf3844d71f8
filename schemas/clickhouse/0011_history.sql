-- What an event said of its contact, so that a contact can be made anew of its events after a split.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _profile String
        COMMENT 'a JSON object of what the event said of its contact, empty: nothing' CODEC(ZSTD(1)) AFTER _kind;
