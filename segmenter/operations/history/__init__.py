"""In which segment a user was at a time: the changes that snapshots copy into the warehouse, and asking for them."""
