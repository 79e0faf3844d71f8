"""The segments stage: resolved events, merges and absorbs in; profile snapshots and membership changes out."""
