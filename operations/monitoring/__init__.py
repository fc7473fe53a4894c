"""Monitoring: what is measured, by whom it is read, and from where on it is an alarm."""
