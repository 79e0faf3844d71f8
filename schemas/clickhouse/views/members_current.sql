CREATE OR REPLACE VIEW {database}.members_current AS
SELECT
    m.workspace AS workspace,
    m.environment AS environment,
    m.segment_id AS segment_id,
    s.name AS segment,
    m.contact_id AS contact_id,
    c.email AS email,
    c.phone AS phone,
    c.external_id AS external_id,
    m.at AS since,
    fromUnixTimestamp64Milli(toInt64(intDiv(m.version, 1024)), 'UTC') AS known_since,
    m.segment_version AS segment_version
FROM {database}.memberships AS m FINAL
LEFT ANY JOIN
(
    SELECT workspace, environment, segment_id, name, deleted FROM {database}.segments FINAL
) AS s ON s.workspace = m.workspace AND s.environment = m.environment AND s.segment_id = m.segment_id
LEFT ANY JOIN
(
    SELECT workspace, environment, contact_id, email, phone, external_id FROM {database}.contacts FINAL
) AS c ON c.workspace = m.workspace AND c.environment = m.environment AND c.contact_id = m.contact_id
WHERE m.member AND NOT s.deleted;

ALTER TABLE {database}.members_current
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment',
    COMMENT COLUMN `segment` 'its name',
    COMMENT COLUMN `contact_id` 'the contact',
    COMMENT COLUMN `email` 'empty: none',
    COMMENT COLUMN `phone` 'empty: none',
    COMMENT COLUMN `external_id` 'empty: none',
    COMMENT COLUMN `since` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `known_since` 'when Headwater knew; after an import of history later than since',
    COMMENT COLUMN `segment_version` 'version of the rule',
    MODIFY COMMENT 'The contacts of each segment, with its name; segments that were deleted are not here';
