CREATE OR REPLACE VIEW {database}.contacts_current AS
SELECT
    workspace, environment, contact_id, email, phone, external_id, anonymous_ids, identifiers,
    attributes, consents, devices, created_at, updated_at
FROM {database}.contacts FINAL
WHERE merged_into = '';

ALTER TABLE {database}.contacts_current
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `contact_id` 'the contact',
    COMMENT COLUMN `email` 'empty: none',
    COMMENT COLUMN `phone` 'empty: none',
    COMMENT COLUMN `external_id` 'empty: none',
    COMMENT COLUMN `anonymous_ids` 'all that it was anonymous by',
    COMMENT COLUMN `identifiers` 'all of its identifiers, the strongest first',
    COMMENT COLUMN `attributes` 'a JSON object',
    COMMENT COLUMN `consents` 'a JSON object: true is given, false is withdrawn',
    COMMENT COLUMN `devices` 'a JSON array',
    COMMENT COLUMN `created_at` 'when it was seen first',
    COMMENT COLUMN `updated_at` 'when it changed last',
    MODIFY COMMENT 'Every contact once; those that merged into another are not here';
