"""How REST is spoken here: errors, limits, API keys. Knows no service."""
