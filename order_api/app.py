"""The order API's composition root: what it hears, what it says, what it serves."""

from fastapi import FastAPI

from contracts import OrderCancelRequested, OrderCreated, StockReceived
from messaging.service import Service
from order_api import handlers, misuse
from order_api.catalogue import Catalogue
from order_api.deadlines import Deadlines
from order_api.facts import preload
from order_api.idempotency import keep_pruned
from order_api.live import Live
from order_api.models import Order
from order_api.openapi import DESCRIPTION, TAGS
from order_api.pressure import Pressure
from order_api.routes import ROUTERS
from order_api.settings import Settings
from order_api.shop import Shop
from rest.assembly import assemble
from rest.openapi import RestApi
from rest.stopping import ending_well


def build(settings: Settings) -> Service:
    """Make the service with its handlers; nothing is connected yet."""
    no_port_of_its_own = settings.model_copy(update={"http_port": 0})  # the API serves /livez and /readyz itself
    service = Service("order_api", no_port_of_its_own, row=Order, preload=preload)
    service.handle(handlers.record_fact)
    service.handle(handlers.record_stock)
    service.publishes(OrderCreated, OrderCancelRequested, StockReceived)
    deadlines = Deadlines(service.execute, settings.patience, settings.deadline_interval)
    service.worker("deadlines", deadlines.watch)
    service.worker("idempotency", lambda: keep_pruned(service.execute, settings.answers_kept))
    return service


def open_shop(service: Service, settings: Settings) -> Shop:
    """Make what the routes speak to."""
    pressure = Pressure(service.database, settings.most_waiting, settings.most_unsent, settings.pressure_interval)
    catalogue = Catalogue(service.database, settings.catalogue_interval)
    return Shop(service, catalogue, settings.patience, pressure, Live(service.database, settings.live_interval))


def create_api(service: Service, settings: Settings) -> FastAPI:
    """Make the REST application around the service: its lifespan starts and stops the service's broker."""
    shop = open_shop(service, settings)
    service.worker("catalogue", shop.catalogue.keep_fresh)
    service.worker("pressure", shop.pressure.watch)
    service.worker("live", shop.live.watch)
    lifespan = ending_well(service.lifespan, shop.live.close)
    api = RestApi(
        title="Orders",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=lifespan,
        docs_url=None,  # routes.docs has pages of its own
        redoc_url=None,
    )
    api.state.shop = shop
    api.state.heartbeat = settings.heartbeat
    misuse.install(api)
    assemble(api, service, settings, ROUTERS, settings.open_paths)
    return api


settings = Settings()
service = build(settings)
router = service.router  # a faststream.rabbit.RabbitRouter; `service.lifespan` starts the broker that includes it
api = create_api(service, settings)
