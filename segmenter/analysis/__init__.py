"""Other ways to cluster the users of a snapshot, beside the live model, and how they compare with it."""
