"""How fast it is, and what it costs: our pipeline beside others that do the same work, measured on one machine."""
