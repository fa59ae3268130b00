"""The console of one's own account."""
