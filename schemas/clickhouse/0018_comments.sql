-- What each table, view and column holds; clients show it beside the names.

ALTER TABLE {database}.events
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `event_id` 'the client''s id of the event, or ours',
    COMMENT COLUMN `type` 'as its client named it',
    COMMENT COLUMN `campaign_id` 'the campaign that it is about, empty: none',
    COMMENT COLUMN `message_id` 'the message that it is about, empty: none',
    COMMENT COLUMN `variant` 'the campaign''s variant, empty: none',
    COMMENT COLUMN `channel` 'email, sms, push or another',
    COMMENT COLUMN `identifiers` 'the identifiers that it came with, the strongest first',
    COMMENT COLUMN `_key_id` 'the key that sent it',
    COMMENT COLUMN `_task_id` 'the batch that it came with, empty: none',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_origin_partition` 'partition of the topic events that the event was accepted on',
    COMMENT COLUMN `_origin_offset` 'offset there',
    COMMENT COLUMN `_origin_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    COMMENT COLUMN `_first` 'of rows with one key the one with the largest stays: that which was received first',
    MODIFY COMMENT 'Every accepted event; repeats collapse when the engine merges: read events_resolved, or FINAL';

ALTER TABLE {database}.duplicates
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `event_id` 'the id that came again',
    COMMENT COLUMN `type` 'type of the event',
    COMMENT COLUMN `received_at` 'when the copy was received',
    COMMENT COLUMN `source` 'the dialect that it came by',
    COMMENT COLUMN `_key_id` 'the key that sent it',
    COMMENT COLUMN `_task_id` 'the batch that it came with, empty: none',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_origin_partition` 'partition of the topic events that the event was accepted on',
    COMMENT COLUMN `_origin_offset` 'offset there',
    COMMENT COLUMN `_origin_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Copies of events, never counted as events; read FINAL';

ALTER TABLE {database}.contacts
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `contact_id` 'the contact',
    COMMENT COLUMN `phone` 'empty: none',
    COMMENT COLUMN `external_id` 'empty: none',
    COMMENT COLUMN `anonymous_ids` 'all that it was anonymous by',
    COMMENT COLUMN `identifiers` 'all of its identifiers, the strongest first',
    COMMENT COLUMN `created_at` 'when it was seen first',
    COMMENT COLUMN `updated_at` 'when it changed last',
    COMMENT COLUMN `version` 'grows with each change',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'The newest snapshot of every contact, merged ones too: read contacts_current, or FINAL';

ALTER TABLE {database}.contact_overrides
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `loser` 'the contact id that gave way',
    COMMENT COLUMN `winner` 'the contact id that stands for it',
    COMMENT COLUMN `version` 'the highest of a loser holds',
    COMMENT COLUMN `identifier_value` 'value of that identifier',
    COMMENT COLUMN `at` 'when the event that taught it was received',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Of each contact id that merged, whose it is today; read FINAL';

ALTER TABLE {database}.contact_merges
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `loser` 'the contact id that gave way',
    COMMENT COLUMN `winner` 'the contact id that stands for it',
    COMMENT COLUMN `version` 'grows with each merge of the loser',
    COMMENT COLUMN `event_id` 'the event that taught it',
    COMMENT COLUMN `at` 'when that event was received',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'Every merge that ever was; read FINAL';

ALTER TABLE {database}.contact_merges_feed
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `loser` 'the contact id that gave way',
    COMMENT COLUMN `winner` 'the contact id that stands for it',
    COMMENT COLUMN `version` 'grows with each merge of the loser',
    COMMENT COLUMN `event_id` 'the event that taught it',
    COMMENT COLUMN `at` 'when that event was received',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'Fills contact_merges from contact_overrides';

ALTER TABLE {database}.membership_changes
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment; segments has its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then',
    COMMENT COLUMN `member` '1: in, 0: out',
    COMMENT COLUMN `at` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `segment_version` 'version of the rule',
    COMMENT COLUMN `version` 'grows with each change; divided by 1024 it is when Headwater knew, epoch milliseconds',
    COMMENT COLUMN `reason` 'event, time, rule, merged or restated',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Every entry into a segment and every exit: read membership_history, or FINAL';

ALTER TABLE {database}.memberships
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment; segments has its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then',
    COMMENT COLUMN `member` '1: in, 0: out',
    COMMENT COLUMN `at` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `segment_version` 'version of the rule',
    COMMENT COLUMN `version` 'grows with each change; divided by 1024 it is when Headwater knew, epoch milliseconds',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'The newest state of each contact in each segment, by segment: read members_current, or FINAL';

ALTER TABLE {database}.memberships_feed
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment; segments has its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then',
    COMMENT COLUMN `member` '1: in, 0: out',
    COMMENT COLUMN `at` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `segment_version` 'version of the rule',
    COMMENT COLUMN `version` 'grows with each change; divided by 1024 it is when Headwater knew, epoch milliseconds',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'Fills memberships from membership_changes';

ALTER TABLE {database}.contact_memberships
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment; segments has its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then',
    COMMENT COLUMN `member` '1: in, 0: out',
    COMMENT COLUMN `at` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `segment_version` 'version of the rule',
    COMMENT COLUMN `version` 'grows with each change; divided by 1024 it is when Headwater knew, epoch milliseconds',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'The same by contact; read FINAL';

ALTER TABLE {database}.contact_memberships_feed
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `segment_id` 'the segment; segments has its name',
    COMMENT COLUMN `contact_id` 'the contact, as it was then',
    COMMENT COLUMN `member` '1: in, 0: out',
    COMMENT COLUMN `at` 'since when, by the time of the event that caused it',
    COMMENT COLUMN `segment_version` 'version of the rule',
    COMMENT COLUMN `version` 'grows with each change; divided by 1024 it is when Headwater knew, epoch milliseconds',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'Fills contact_memberships from membership_changes';

ALTER TABLE {database}.consent_changes
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `consent` 'its name, such as email_marketing',
    COMMENT COLUMN `event_id` 'the event that said it',
    COMMENT COLUMN `at` 'the client''s time, never after the receipt',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Every consent given, withdrawn or removed; read FINAL';

ALTER TABLE {database}.quarantine
    COMMENT COLUMN `partition` 'its partition',
    COMMENT COLUMN `offset` 'its offset',
    COMMENT COLUMN `event_id` 'the event, where the bytes say it',
    COMMENT COLUMN `reason` 'why, as a code',
    COMMENT COLUMN `detail` 'why, in words',
    COMMENT COLUMN `at` 'when it was put here',
    COMMENT COLUMN `key` 'key of the record',
    COMMENT COLUMN `payload` 'the original bytes',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'What could not be processed, with its bytes; kept for 30 days; read FINAL';

ALTER TABLE {database}.quarantine_outcomes
    COMMENT COLUMN `partition` 'its partition',
    COMMENT COLUMN `offset` 'its offset',
    COMMENT COLUMN `index` 'place in the record, -1: the whole record',
    COMMENT COLUMN `workspace` 'the workspace that it belongs to, empty: not known',
    COMMENT COLUMN `at` 'when it was done',
    MODIFY COMMENT 'What became of records in quarantine; read FINAL';

ALTER TABLE {database}.links
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `a_type` 'type of the first identifier',
    COMMENT COLUMN `a_value` 'its value',
    COMMENT COLUMN `b_id` 'the own contact id of the second identifier',
    COMMENT COLUMN `b_type` 'type of the second identifier',
    COMMENT COLUMN `b_value` 'its value',
    COMMENT COLUMN `event_id` 'the event that tied them',
    COMMENT COLUMN `kind` 'kind of that event',
    COMMENT COLUMN `at` 'when it was received',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Pairs of identifiers that an event tied, and first sightings; read FINAL';

ALTER TABLE {database}.refused_links
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `value` 'value of that identifier',
    COMMENT COLUMN `reason` 'why, as a code',
    COMMENT COLUMN `event_id` 'the event that would have tied them',
    COMMENT COLUMN `at` 'when it was received',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Links that a guard did not let through, once for each side; read FINAL';

ALTER TABLE {database}.retracted_links
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `b_id` 'the larger one',
    COMMENT COLUMN `at` 'when it was taken back',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Evidence that a split took back; read FINAL';

ALTER TABLE {database}.delivery_attempts
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `webhook_id` 'the webhook; webhooks has its address',
    COMMENT COLUMN `delivery_id` 'the message to one webhook, over all attempts',
    COMMENT COLUMN `type` 'type of the message',
    COMMENT COLUMN `url` 'where it was sent',
    COMMENT COLUMN `error` 'what went wrong, empty: nothing',
    COMMENT COLUMN `duration_ms` 'until the answer',
    COMMENT COLUMN `at` 'when it was sent',
    COMMENT COLUMN `request_headers` 'a JSON object',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    COMMENT COLUMN `_stored_at` 'when the row was written',
    MODIFY COMMENT 'Every request to a webhook and what came of it; read FINAL';

ALTER TABLE {database}.accepted
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `events` 'number of events in the run',
    COMMENT COLUMN `_partition` 'partition of the topic events',
    COMMENT COLUMN `_last` 'the last one',
    MODIFY COMMENT 'How many events each minute brought, as the ledger counts; read FINAL';

ALTER TABLE {database}.event_outcomes
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `received_at` 'when the edge received it',
    COMMENT COLUMN `_origin_offset` 'its offset',
    COMMENT COLUMN `_origin_index` 'place within the record',
    COMMENT COLUMN `_topic` 'Kafka topic of the record that it came with',
    COMMENT COLUMN `_partition` 'partition of that record',
    COMMENT COLUMN `_offset` 'offset of that record',
    COMMENT COLUMN `_index` 'place within that record',
    MODIFY COMMENT 'Accepted events that are not stored, and why; read FINAL';

ALTER TABLE {database}.squashes
    COMMENT COLUMN `at` 'when it was done',
    MODIFY COMMENT 'When merges were folded into event rows';
