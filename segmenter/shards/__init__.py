"""Rows and shards: what a batch of records, a new generation or a repair changes in them. Pure."""
