"""Load: customers who place orders of random products and wait until each one is final.

With a browser:    locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000
On a terminal:     locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000 --headless -u 32 -r 32 -t 60s

`--csv`, `--html` or `--json-file` keep the results. "order to final" is the time from the POST until the order was seen
in a final state, in milliseconds, to within POLL_INTERVAL; an order that takes longer than PATIENCE is a failure.
Install locust from requirements/load.txt. API_KEY holds the key of a client, or API_KEY_FILE names a file that does;
without either, the one of the stack that `./run up` keeps running is taken.
"""

# ruff: noqa: INP001, S311 - locust loads it by path; what customers order need not be secret

import json
import os
import random
import time
from pathlib import Path

from locust import HttpUser, between, task

ENDPOINTS = Path(__file__).parents[1] / ".stack" / "endpoints.json"


def key() -> str:
    """The client's, from wherever it is."""
    if file := os.environ.get("API_KEY_FILE"):
        return Path(file).read_text().strip()
    return os.environ.get("API_KEY") or json.loads(ENDPOINTS.read_text())["api_keys"]["client"]


KEY = key()
FINAL = {"ready", "rejected", "cancelled"}
POLL_INTERVAL = 0.1
PATIENCE = 30.0
"""Seconds."""
TOKENS = ("tok_ok",) * 18 + ("tok_declined", "tok_insufficient_funds")
"""One order in ten is declined."""


class Customer(HttpUser):
    """Places an order, waits for its end, thinks a little, orders again."""

    wait_time = between(0.0, 0.2)

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {KEY}"
        products = self.client.get("/products").json()
        self.skus = [product["sku"] for product in products if product["currency"] == "EUR"]

    @task
    def order(self) -> None:
        started = time.perf_counter()
        with self.client.post("/orders", json=self.wish(), catch_response=True) as response:
            if response.status_code != 201:  # noqa: PLR2004 - Created
                response.failure(f"status {response.status_code}")
                return
            location = response.headers["Location"]
        final = self.wait_until_final(location, started + PATIENCE)
        self.environment.events.request.fire(
            request_type="FLOW",
            name="order to final",
            response_time=1000 * (time.perf_counter() - started),
            response_length=0,
            exception=None if final else TimeoutError(f"not final after {PATIENCE} s"),
            context=self.context(),
        )

    def wait_until_final(self, location: str, deadline: float) -> bool:
        while time.perf_counter() < deadline:
            response = self.client.get(location, name="/orders/{order_id}")
            if response.ok and response.json()["status"] in FINAL:
                return True
            time.sleep(POLL_INTERVAL)
        return False

    def wish(self) -> dict[str, object]:
        skus = random.sample(self.skus, k=random.randint(1, min(3, len(self.skus))))
        return {
            "customer_id": f"c-{random.randrange(1000)}",
            "currency": "EUR",
            "items": [{"sku": sku, "quantity": random.randint(1, 3)} for sku in skus],
            "payment_token": random.choice(TOKENS),
            "shipping_address": {
                "name": "Ada",
                "line1": "1 Main St",
                "city": "Berlin",
                "postal_code": "10115",
                "country": "DE",
            },
        }
