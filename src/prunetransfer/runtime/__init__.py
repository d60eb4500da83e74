"""What a process may use: devices, leases, caches, a line of progress."""
