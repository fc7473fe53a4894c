"""Ask whether a RabbitMQ answers, and its management API, from code that is not async."""

import aio_pika
import httpx2

from devstack.threads import run_apart


def ping(url: str, *, seconds: float = 5) -> None:
    """Log in and out. Raises OSError, TimeoutError, ValueError or an AMQPError if that does not work."""

    async def work() -> None:
        connection = await aio_pika.connect(url, timeout=seconds)
        await connection.close()

    run_apart(work)


def management_answers(url: str) -> bool:
    """Tell whether the management API answers, with the credentials in its URL."""
    try:
        return httpx2.get(f"{url.rstrip('/')}/api/overview", timeout=2).is_success
    except httpx2.TransportError:
        return False
