"""The SIP engine: messages, transactions and the record-routing proxy (RFC 3261)."""
