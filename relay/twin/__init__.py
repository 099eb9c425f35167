"""The Meta twin: a local stand-in for Meta that obeys its written contract strictly. No account needed."""
