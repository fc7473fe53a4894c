"""The control room's REST routes."""

from operations.routes import actions, audit, dead_letters, replays

ROUTERS = (dead_letters.router, replays.router, actions.router, audit.router)

__all__ = ["ROUTERS"]
