"""What reads the log: the worker keeps the live store, the sink loads the warehouse."""
