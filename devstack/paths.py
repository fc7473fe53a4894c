"""Where things are. Everything that `./run` makes is below `.stack/`, apart from the virtual environment in `.venv`."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
STACK = CHECKOUT / ".stack"
ENDPOINTS = STACK / "endpoints.json"
