"""What can become of a message besides the events that its handler returns: a closed set of two exceptions.

A business "no" is an event, never an exception.
"""


class Retry(Exception):  # noqa: N818 - reads as the outcome that it is
    """The work failed for a passing reason: try this message again later, through the retry tiers.

    Subclass it to name the reason (`GatewayUnavailable`); the class and the text travel with the message.
    """


class Reject(Exception):  # noqa: N818 - reads as the outcome that it is
    """No retry can help: park the message in its dead-letter queue at once, with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
