"""Load that outlives the daemon: killed at random moments, or with its database away."""
