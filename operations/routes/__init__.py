"""The control room's REST routes."""

from operations.routes import actions, dead_letters, replays

ROUTERS = (dead_letters.router, replays.router, actions.router)

__all__ = ["ROUTERS"]
