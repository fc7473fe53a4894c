"""The control room's composition root: what it collects, what it hears, what it serves."""

from collections.abc import Sequence

from fastapi import FastAPI

from messaging.asyncapi.reading import read_topology
from messaging.collector import DeadLetter
from messaging.commands import answer_of
from messaging.service import Service
from messaging.topology import RESTING
from operations import custody, handlers, monitor
from operations.audit.auditor import auditor_of
from operations.audit.settings import AuditSettings
from operations.cloudwatch import CloudWatchSettings
from operations.monitoring.settings import MonitoringSettings
from operations.office import Office
from operations.openapi import DESCRIPTION, TAGS
from operations.replays import Replayer
from operations.retention import keep_pruned
from operations.routes import ROUTERS, access
from operations.settings import OPEN_PATHS, Settings
from operations.timeline import Timelines
from rest.assembly import assemble
from rest.openapi import RestApi


def build(settings: Settings) -> Service:
    """Make the service; nothing is connected yet."""
    no_port_of_its_own = settings.model_copy(update={"http_port": 0})  # the API serves /livez and /readyz itself
    service = Service("operations", no_port_of_its_own, preload=handlers.lock_dead_letters)

    async def store(letters: Sequence[DeadLetter]) -> None:
        await answer_of(service.execute, lambda db: custody.store(db, letters))

    resting = [queue.name for queue in read_topology(settings.document).queues if queue.kind in RESTING]
    service.collect(resting, store)
    service.handle(handlers.record_receipt)
    service.worker("replays", Replayer(service.execute, service.database, service.put_back, settings).watch)
    service.worker("retention", lambda: keep_pruned(service.execute, settings.closed_days))
    return service


def create_api(service: Service, settings: Settings) -> FastAPI:
    """Make the REST application around the service: its lifespan starts and stops the service's broker."""
    api = RestApi(
        title="Control room",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
    )
    audit = AuditSettings()
    monitor.install(service, settings.document, audit.databases, MonitoringSettings(), CloudWatchSettings())
    auditor = auditor_of(service, audit, read_topology(settings.document))
    if auditor is not None:
        service.worker("audit", auditor.watch)
    api.state.auditor = auditor
    api.state.office = Office(service.execute, service.database, editing=settings.editing)
    api.state.timelines = Timelines(settings.order_api_url, settings.order_api_key.get_secret_value())
    access.install(api)
    assemble(api, service, settings, ROUTERS, OPEN_PATHS)
    return api


settings = Settings()
service = build(settings)
router = service.router  # a faststream.rabbit.RabbitRouter; `service.lifespan` starts the broker that includes it
api = create_api(service, settings)
