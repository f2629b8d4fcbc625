"""What people do to a running system, from Python: status, snapshot, restore, reconcile, verify, repair, users."""
