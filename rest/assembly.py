"""A service and its routes as one REST application: measured, limited, closed to strangers, every error a problem."""

from collections.abc import Collection, Sequence

from fastapi import APIRouter

from messaging.service import Service
from rest import problems
from rest.authentication import Authentication
from rest.keys import KeyRing
from rest.measured import Measured
from rest.openapi import RestApi
from rest.request_limits import RequestLimits
from rest.settings import RestSettings


def assemble(
    api: RestApi, service: Service, settings: RestSettings, routers: Sequence[APIRouter], open_paths: Collection[str]
) -> None:
    """Give the application its routes, those of the service's health among them, and what stands ahead of them.

    What is not below a path of `open_paths` needs a key that the service's database knows.
    """
    keys = KeyRing(service.database, settings.key_interval)
    service.worker("keys", keys.keep_fresh)
    api.add_middleware(RequestLimits, body=settings.body_limit)
    api.add_middleware(Authentication, keys=keys, open_paths=open_paths, rate=settings.rate_limit)
    api.add_middleware(Measured, series=service.metrics.requests)
    problems.install(api)
    for router in routers:
        api.router.routes.extend(router.routes)  # an included router would look for the route of each request twice
    api.router.routes.extend(service.health.routes)
    api.state.routes = [*(route for router in routers for route in router.routes), *service.health.routes]
    service.tracing.serve(api)
