"""What a request is, which route it meets and what that route decides: pure, no I/O."""
