"""What the SIP tests are made of: the daemon, phones, the FIFO and JSON-RPC."""
