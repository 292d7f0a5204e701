"""The dialog core: pure, synchronous, thread-safe; time and randomness are parameters."""
