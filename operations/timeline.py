"""An order's timeline beside its dead letter, as the order API tells it."""

from typing import Any
from uuid import UUID

import httpx2

TIMEOUT = 3.0
"""Seconds for the order API's answer: a dead letter is shown without it otherwise."""


class Timelines:
    """Asks the order API, by REST and with a key of its own, as every client does."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    async def of(self, order_id: UUID) -> tuple[Any, str | None]:
        """The order as the order API shows it, or why it cannot be shown."""
        if not self._url:
            return None, "no order API is known here: OPERATIONS_ORDER_API_URL"
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT, headers={"Authorization": f"Bearer {self._key}"}) as http:
                answer = await http.get(f"{self._url}/orders/{order_id}")
                answer.raise_for_status()
                return answer.json(), None
        except httpx2.HTTPStatusError as error:
            return None, f"the order API answers {error.response.status_code}"
        except (httpx2.HTTPError, ValueError) as error:
            return None, f"the order API does not answer: {type(error).__name__}"
