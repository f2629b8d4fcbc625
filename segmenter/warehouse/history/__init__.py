"""What was before: the changes of users' segments, and what reconciliations found."""
