"""What the system promises, in numbers. Thresholds of alarms follow from these, and say how."""

PEAK_RATE = 50
"""Orders a second that the system is sized for: no queue gets more than one message an order."""
FINAL_WITHIN = 10
"""Seconds in which an order is final, from its acceptance."""
ON_TIME_PERCENT = 99
"""Percent of the orders that are; the others meet a gateway or a carrier that fails, and go through retry tiers."""
BEHIND = 60
"""Seconds by which a queue may lag."""
RECONNECT = 30
"""Seconds in which every service is back after the broker was away: 20 to notice a silent one, 10 to connect."""
REFUSING_AT = 100_000
"""Unsent events from which on the order API refuses orders (its setting `most_unsent`)."""

WINDOW = 15 * 60
"""Seconds that latencies and rates of success look back."""

TYPICALLY_WITHIN = 2
"""Seconds in which half of the orders are final."""
