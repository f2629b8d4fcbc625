"""Whether census, audiences and counts are what the rows say, and the repair of what differs."""
