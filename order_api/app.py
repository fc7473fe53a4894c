"""The order API's composition root: what it hears, what it says, what it serves."""

from fastapi import FastAPI

from contracts import OrderCancelRequested, OrderCreated, StockReceived
from messaging.service import Service
from order_api import handlers, problems
from order_api.body_limit import BodyLimit
from order_api.catalogue import Catalogue
from order_api.deadlines import Deadlines
from order_api.models import Order
from order_api.openapi import DESCRIPTION, TAGS, OrderApi
from order_api.routes import ROUTERS
from order_api.settings import Settings
from order_api.shop import Shop


def build(settings: Settings) -> Service:
    """Make the service with its handlers; nothing is connected yet."""
    no_port_of_its_own = settings.model_copy(update={"http_port": 0})  # the API serves /livez and /readyz itself
    service = Service("order_api", no_port_of_its_own, row=Order)
    service.handle(handlers.record_fact)
    service.handle(handlers.record_stock)
    service.publishes(OrderCreated, OrderCancelRequested, StockReceived)
    deadlines = Deadlines(service.execute, settings.patience, settings.deadline_interval)
    service.worker("deadlines", deadlines.watch)
    return service


def create_api(service: Service, settings: Settings) -> FastAPI:
    """Make the REST application around the service: its lifespan starts and stops the service's broker."""
    catalogue = Catalogue(service.database, settings.catalogue_interval)
    service.worker("catalogue", catalogue.keep_fresh)
    api = OrderApi(
        title="Orders",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=service.lifespan,
        docs_url=None,  # routes.docs has pages of its own
        redoc_url=None,
    )
    api.state.shop = Shop(service, catalogue, settings.patience)
    api.add_middleware(BodyLimit, limit=settings.body_limit)
    problems.install(api)
    for routes in ROUTERS:
        api.include_router(routes)
    api.router.routes.extend(service.health.routes)
    return api


settings = Settings()
service = build(settings)
router = service.router  # a faststream.rabbit.RabbitRouter; `service.lifespan` starts the broker that includes it
api = create_api(service, settings)
