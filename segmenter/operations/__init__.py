"""What people do to a running system, callable from Python: status, snapshot, restore, reconcile, verify, repair, users."""
