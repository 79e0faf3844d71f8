-- shard 1 of 1
BACKUP TABLE headwater.squashes TO S3('http://s3:9000/backups/1/tables/shard-1/1', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.squashes AS drill.squashes FROM S3('http://s3:9000/backups/1/tables/shard-1/1', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 1 of 1
BACKUP TABLE headwater.consent_changes, TABLE headwater.contact_overrides, TABLE headwater.contacts, TABLE headwater.delivery_attempts, TABLE headwater.events, TABLE headwater.links, TABLE headwater.membership_changes, TABLE headwater.quarantine, TABLE headwater.refused_links, TABLE headwater.retracted_links TO S3('http://s3:9000/backups/1/tables/shard-1/2', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.consent_changes AS drill.consent_changes, TABLE headwater.contact_overrides AS drill.contact_overrides, TABLE headwater.contacts AS drill.contacts, TABLE headwater.delivery_attempts AS drill.delivery_attempts, TABLE headwater.events AS drill.events, TABLE headwater.links AS drill.links, TABLE headwater.membership_changes AS drill.membership_changes, TABLE headwater.quarantine AS drill.quarantine, TABLE headwater.refused_links AS drill.refused_links, TABLE headwater.retracted_links AS drill.retracted_links FROM S3('http://s3:9000/backups/1/tables/shard-1/2', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 1 of 1
BACKUP TABLE headwater.accepted, TABLE headwater.campaigns, TABLE headwater.contact_memberships, TABLE headwater.contact_merges, TABLE headwater.duplicates, TABLE headwater.event_outcomes, TABLE headwater.event_types, TABLE headwater.memberships, TABLE headwater.quarantine_outcomes, TABLE headwater.removals, TABLE headwater.segments, TABLE headwater.typed_columns, TABLE headwater.webhooks TO S3('http://s3:9000/backups/1/tables/shard-1/3', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.accepted AS drill.accepted, TABLE headwater.campaigns AS drill.campaigns, TABLE headwater.contact_memberships AS drill.contact_memberships, TABLE headwater.contact_merges AS drill.contact_merges, TABLE headwater.duplicates AS drill.duplicates, TABLE headwater.event_outcomes AS drill.event_outcomes, TABLE headwater.event_types AS drill.event_types, TABLE headwater.memberships AS drill.memberships, TABLE headwater.quarantine_outcomes AS drill.quarantine_outcomes, TABLE headwater.removals AS drill.removals, TABLE headwater.segments AS drill.segments, TABLE headwater.typed_columns AS drill.typed_columns, TABLE headwater.webhooks AS drill.webhooks FROM S3('http://s3:9000/backups/1/tables/shard-1/3', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 1 of 2
SYSTEM SYNC REPLICA headwater.squashes
BACKUP TABLE headwater.squashes TO S3('http://s3:9000/backups/1/tables/shard-1/1', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.squashes AS drill.squashes FROM S3('http://s3:9000/backups/1/tables/shard-1/1', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 1 of 2
SYSTEM SYNC REPLICA headwater.consent_changes
SYSTEM SYNC REPLICA headwater.contact_overrides
SYSTEM SYNC REPLICA headwater.contacts
SYSTEM SYNC REPLICA headwater.delivery_attempts
SYSTEM SYNC REPLICA headwater.events
SYSTEM SYNC REPLICA headwater.links
SYSTEM SYNC REPLICA headwater.membership_changes
SYSTEM SYNC REPLICA headwater.quarantine
SYSTEM SYNC REPLICA headwater.refused_links
SYSTEM SYNC REPLICA headwater.retracted_links
BACKUP TABLE headwater.consent_changes, TABLE headwater.contact_overrides, TABLE headwater.contacts, TABLE headwater.delivery_attempts, TABLE headwater.events, TABLE headwater.links, TABLE headwater.membership_changes, TABLE headwater.quarantine, TABLE headwater.refused_links, TABLE headwater.retracted_links TO S3('http://s3:9000/backups/1/tables/shard-1/2', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.consent_changes AS drill.consent_changes, TABLE headwater.contact_overrides AS drill.contact_overrides, TABLE headwater.contacts AS drill.contacts, TABLE headwater.delivery_attempts AS drill.delivery_attempts, TABLE headwater.events AS drill.events, TABLE headwater.links AS drill.links, TABLE headwater.membership_changes AS drill.membership_changes, TABLE headwater.quarantine AS drill.quarantine, TABLE headwater.refused_links AS drill.refused_links, TABLE headwater.retracted_links AS drill.retracted_links FROM S3('http://s3:9000/backups/1/tables/shard-1/2', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 2 of 2
SYSTEM SYNC REPLICA headwater.consent_changes
SYSTEM SYNC REPLICA headwater.contacts
SYSTEM SYNC REPLICA headwater.delivery_attempts
SYSTEM SYNC REPLICA headwater.events
SYSTEM SYNC REPLICA headwater.links
SYSTEM SYNC REPLICA headwater.membership_changes
SYSTEM SYNC REPLICA headwater.refused_links
SYSTEM SYNC REPLICA headwater.retracted_links
BACKUP TABLE headwater.consent_changes, TABLE headwater.contacts, TABLE headwater.delivery_attempts, TABLE headwater.events, TABLE headwater.links, TABLE headwater.membership_changes, TABLE headwater.refused_links, TABLE headwater.retracted_links TO S3('http://s3:9000/backups/1/tables/shard-2/2', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.consent_changes AS drill.consent_changes, TABLE headwater.contacts AS drill.contacts, TABLE headwater.delivery_attempts AS drill.delivery_attempts, TABLE headwater.events AS drill.events, TABLE headwater.links AS drill.links, TABLE headwater.membership_changes AS drill.membership_changes, TABLE headwater.refused_links AS drill.refused_links, TABLE headwater.retracted_links AS drill.retracted_links FROM S3('http://s3:9000/backups/1/tables/shard-2/2', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 1 of 2
SYSTEM SYNC REPLICA headwater.accepted
SYSTEM SYNC REPLICA headwater.campaigns
SYSTEM SYNC REPLICA headwater.contact_memberships
SYSTEM SYNC REPLICA headwater.contact_merges
SYSTEM SYNC REPLICA headwater.duplicates
SYSTEM SYNC REPLICA headwater.event_outcomes
SYSTEM SYNC REPLICA headwater.event_types
SYSTEM SYNC REPLICA headwater.memberships
SYSTEM SYNC REPLICA headwater.quarantine_outcomes
SYSTEM SYNC REPLICA headwater.removals
SYSTEM SYNC REPLICA headwater.segments
SYSTEM SYNC REPLICA headwater.typed_columns
SYSTEM SYNC REPLICA headwater.webhooks
BACKUP TABLE headwater.accepted, TABLE headwater.campaigns, TABLE headwater.contact_memberships, TABLE headwater.contact_merges, TABLE headwater.duplicates, TABLE headwater.event_outcomes, TABLE headwater.event_types, TABLE headwater.memberships, TABLE headwater.quarantine_outcomes, TABLE headwater.removals, TABLE headwater.segments, TABLE headwater.typed_columns, TABLE headwater.webhooks TO S3('http://s3:9000/backups/1/tables/shard-1/3', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.accepted AS drill.accepted, TABLE headwater.campaigns AS drill.campaigns, TABLE headwater.contact_memberships AS drill.contact_memberships, TABLE headwater.contact_merges AS drill.contact_merges, TABLE headwater.duplicates AS drill.duplicates, TABLE headwater.event_outcomes AS drill.event_outcomes, TABLE headwater.event_types AS drill.event_types, TABLE headwater.memberships AS drill.memberships, TABLE headwater.quarantine_outcomes AS drill.quarantine_outcomes, TABLE headwater.removals AS drill.removals, TABLE headwater.segments AS drill.segments, TABLE headwater.typed_columns AS drill.typed_columns, TABLE headwater.webhooks AS drill.webhooks FROM S3('http://s3:9000/backups/1/tables/shard-1/3', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- shard 2 of 2
SYSTEM SYNC REPLICA headwater.contact_memberships
SYSTEM SYNC REPLICA headwater.duplicates
SYSTEM SYNC REPLICA headwater.memberships
BACKUP TABLE headwater.contact_memberships, TABLE headwater.duplicates, TABLE headwater.memberships TO S3('http://s3:9000/backups/1/tables/shard-2/3', 'the-id', 'the\'secret\\') ASYNC
RESTORE TABLE headwater.contact_memberships AS drill.contact_memberships, TABLE headwater.duplicates AS drill.duplicates, TABLE headwater.memberships AS drill.memberships FROM S3('http://s3:9000/backups/1/tables/shard-2/3', 'the-id', 'the\'secret\\') SETTINGS create_table = 'must-exist', allow_different_table_def = 1 ASYNC
-- a folder: around the copy of a table of a server, of a replica
SYSTEM STOP MERGES events
SYSTEM START MERGES events
SYSTEM SYNC REPLICA events
SYSTEM STOP FETCHES events
SYSTEM STOP MERGES events
SYSTEM START MERGES events
SYSTEM START FETCHES events
