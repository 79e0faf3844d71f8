CREATE OR REPLACE VIEW {database}.membership_history AS
SELECT
    h.workspace AS workspace,
    h.environment AS environment,
    h.segment_id AS segment_id,
    s.name AS segment,
    h.contact_id AS contact_id,
    tupleElement(h.entry, 3) AS entered_at,
    fromUnixTimestamp64Milli(toInt64(intDiv(tupleElement(h.entry, 1), 1024)), 'UTC') AS entered_known_at,
    tupleElement(h.entry, 4) AS entered_by,
    tupleElement(h.entry, 5) AS entered_event_id,
    if(h.is_over, tupleElement(h.exit, 3), NULL) AS left_at,
    if(h.is_over, fromUnixTimestamp64Milli(toInt64(intDiv(tupleElement(h.exit, 1), 1024)), 'UTC'), NULL) AS left_known_at,
    tupleElement(h.exit, 4) AS left_by,
    tupleElement(h.exit, 5) AS left_event_id
FROM
(
    SELECT
        workspace, environment, segment_id, contact_id,
        arraySort(groupUniqArray((version, member, at, reason, event_id))) AS said,
        -- what only says again what was so is no change
        arrayFilter((one, n) -> one.2 != if(n = 1, 0, said[n - 1].2), said, arrayEnumerate(said)) AS turns,
        arrayJoin(arrayFilter(n -> turns[n].2 = 1, arrayEnumerate(turns))) AS nth,
        turns[nth] AS entry,
        turns[nth + 1] AS exit,
        nth < length(turns) AS is_over
    FROM {database}.membership_changes
    GROUP BY workspace, environment, segment_id, contact_id
) AS h
LEFT ANY JOIN
(
    SELECT workspace, environment, segment_id, name FROM {database}.segments FINAL
) AS s ON s.workspace = h.workspace AND s.environment = h.environment AND s.segment_id = h.segment_id;

ALTER TABLE {database}.membership_history
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment',
    COMMENT COLUMN `segment` 'its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then: a merge ends the stay of the one that gives way',
    COMMENT COLUMN `entered_at` 'by the time of the event that caused it',
    COMMENT COLUMN `entered_known_at` 'when Headwater knew',
    COMMENT COLUMN `entered_by` 'event, time, rule, merged or restated',
    COMMENT COLUMN `entered_event_id` 'the event that caused it, empty: time or a rule did',
    COMMENT COLUMN `left_at` 'by the time of the event that caused it; none: it is in still',
    COMMENT COLUMN `left_known_at` 'when Headwater knew; none: it is in still',
    COMMENT COLUMN `left_by` 'event, time, rule, merged or restated; empty: it is in still',
    COMMENT COLUMN `left_event_id` 'the event that caused it, empty: none did',
    MODIFY COMMENT 'Every stay in a segment: entered and left, each by the time of its event and by when Headwater knew';
