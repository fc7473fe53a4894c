"""Where things are. All that `./run` makes is below `.stack/`, apart from `.venv` and `order_api/assets`.

ORDERS_STATE_FOLDER names another place for what a stack keeps while it runs, so that stacks of one checkout stay apart.
"""

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
DOWNLOADS = CHECKOUT / ".stack"
STACK = Path(os.environ.get("ORDERS_STATE_FOLDER") or DOWNLOADS).resolve()
ENDPOINTS = STACK / "endpoints.json"
