"""The control room: dead letters, the audit of money and stock, monitoring."""
