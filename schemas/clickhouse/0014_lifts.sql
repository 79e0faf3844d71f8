-- A split lasts until it is lifted.
ALTER TABLE {database}.retracted_links
    COMMENT COLUMN event_id 'empty: whatever tied the pair until then; *: the separation was lifted then';
