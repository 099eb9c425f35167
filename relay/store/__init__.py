"""First floor: what is accepted and how it ended. The only place that knows SQL."""
