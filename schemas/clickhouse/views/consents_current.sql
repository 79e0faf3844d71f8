CREATE OR REPLACE VIEW {database}.consents_current AS
SELECT
    c.workspace AS workspace,
    c.environment AS environment,
    c.contact_id AS contact_id,
    c.email AS email,
    c.phone AS phone,
    c.one.1 AS consent,
    c.one.2 = 'true' AS given,
    said.at AS said_at,
    said.event_id AS event_id
FROM
(
    SELECT workspace, environment, contact_id, email, phone, arrayJoin(JSONExtractKeysAndValuesRaw(consents)) AS one
    FROM {database}.contacts FINAL
    WHERE merged_into = ''
) AS c
LEFT ANY JOIN
(
    SELECT
        r.workspace AS workspace, r.environment AS environment,
        if(o.winner = '', r.contact_id, o.winner) AS owner,
        r.consent AS consent,
        max(r.at) AS at,
        argMax(r.event_id, (r.at, r.event_id)) AS event_id
    FROM {database}.consent_changes AS r
    LEFT ANY JOIN
    (
        SELECT workspace, environment, loser, winner FROM {database}.contact_overrides FINAL
    ) AS o ON o.workspace = r.workspace AND o.environment = r.environment AND o.loser = r.contact_id
    GROUP BY workspace, environment, owner, consent
) AS said ON said.workspace = c.workspace AND said.environment = c.environment AND said.owner = c.contact_id
    AND said.consent = c.one.1;

ALTER TABLE {database}.consents_current
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `contact_id` 'the contact',
    COMMENT COLUMN `email` 'empty: none',
    COMMENT COLUMN `phone` 'empty: none',
    COMMENT COLUMN `consent` 'its name, such as email_marketing',
    COMMENT COLUMN `given` '1: given, 0: withdrawn',
    COMMENT COLUMN `said_at` 'when the contact said so last, 1970: not known',
    COMMENT COLUMN `event_id` 'the event that said it, empty: not known',
    MODIFY COMMENT 'Every consent that a contact gave or withdrew, as it holds today';
