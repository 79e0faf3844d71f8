-- An event is one by its id, type and sender (`schemas/records/sameness.py`): rows that only share an id do not collapse.
--
-- 1. A column that is added may join the sorting key without a row being written again: nothing here takes longer
--    on a large table. Rows from before have an empty `_sender` and collapse as they did.
-- 2. `campaign_id` stays in front, which is what campaign figures select by: a copy that names another campaign never
--    gets here, since the identity stage has marked it and it goes into `duplicates`.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _sender String
        COMMENT 'the end of own_contact_id: tells events of one id apart' AFTER _kind,
    MODIFY ORDER BY (workspace, environment, campaign_id, type, event_id, _sender);

-- What came again, however long after the first; of every copy a row.
ALTER TABLE {database}.duplicates
    ADD COLUMN IF NOT EXISTS type LowCardinality(String) AFTER event_id,
    ADD COLUMN IF NOT EXISTS own_contact_id String COMMENT 'the sender, empty: nobody' AFTER type,
    ADD COLUMN IF NOT EXISTS event_id_conflict UInt8 COMMENT '1: it said something else than the first' AFTER source;

ALTER TABLE {database}.consent_changes
    ADD COLUMN IF NOT EXISTS _event String COMMENT 'id, type and sender of the event' AFTER event_id,
    MODIFY ORDER BY (workspace, environment, contact_id, consent, event_id, _event);
