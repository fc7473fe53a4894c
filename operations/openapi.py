"""What the control room's OpenAPI document says beside its routes."""

TAGS = [
    {"name": "dead letters", "description": "Messages that could not be handled: found, explained, decided about."},
    {"name": "replays", "description": "Dead letters that are sent again, in steps, and what came of each."},
    {"name": "audit", "description": "What operators did, and whether money and stock add up."},
]

DESCRIPTION = """
The control room of the order system. Every request carries an API key with the scope `operations`.
"""
