"""The sandbox: a demo shop, the relay with its courier, and the Meta twin in one process on loopback."""
