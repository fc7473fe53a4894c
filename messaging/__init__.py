"""How services speak, safely: topology, unit of work, inbox, outbox, retry, AsyncAPI. Knows no service."""
