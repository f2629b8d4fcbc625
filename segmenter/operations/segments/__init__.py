"""What is known of the segments: as they are now in Redis, and what sets each apart in the warehouse."""
