"""What analysts ask of the warehouse: the batch summary, and other clusterings."""
