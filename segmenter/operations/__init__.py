"""What people do to a running system, each callable from Python: status, snapshot, restore, reconcile, verify, repair."""
