"""Services as processes of their own, to be killed."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass

import httpx2

from devstack.ports import any_free_port
from devstack.services import SPOKEN_TO
from messaging.settings import ServiceSettings
from tests.broker.rabbit import until


@dataclass
class ServiceProcess:
    """A running service."""

    process: asyncio.subprocess.Process
    port: int

    async def ready(self) -> None:
        """Wait until it consumes."""
        async with httpx2.AsyncClient() as http:

            async def answers() -> bool:
                assert self.process.returncode is None, f"the service ended with {self.process.returncode}"
                try:
                    return (await http.get(f"http://127.0.0.1:{self.port}/readyz")).is_success
                except httpx2.TransportError:
                    return False

            await until(answers)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; returns the exit status, negative for a signal."""
        async with asyncio.timeout(30):
            return await self.process.wait()

    async def stop(self) -> int | None:
        """End it politely."""
        if self.process.returncode is None:
            self.process.terminate()
            return await self.ended()
        return self.process.returncode


async def start(service: str, settings: ServiceSettings, **environment: str) -> ServiceProcess:
    """Start a service as `./run up` does; its log goes to the test's standard error."""
    port = any_free_port()
    prefix = service.upper()
    own = {
        f"{prefix}_AMQP_URL": settings.amqp_url.get_secret_value(),
        f"{prefix}_DATABASE_URL": settings.database_url.get_secret_value(),
        f"{prefix}_RETRY_TIERS": ",".join(settings.retry_tiers),
        f"{prefix}_HTTP_PORT": str(port),
    }
    command = ["faststream", "run", f"{service}.app:app"]
    if service in SPOKEN_TO:
        options = ["--no-access-log", "--log-level", "warning", "--http", "rest.bounded_http:BoundedHttp"]
        command = ["uvicorn", f"{service}.app:api", "--port", str(port), *options]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *command, env={**os.environ, **own, **environment}
    )
    return ServiceProcess(process, port)
