"""Load: customers who look around, order, watch their orders, change their minds, and send a request twice.

With a browser:    locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000
On a terminal:     ./run load, which says at the end what became of every order; or, without that,
                   locust -f benchmarks/locustfile.py --host http://127.0.0.1:8000 --headless -u 32 -r 32 -t 60s

What they do is in benchmarks/load/visits.py. "order to final" is the time from the POST until the customer knew of the
final state, in milliseconds; an order that takes longer than PATIENCE is a failure. Install locust from
requirements/load.txt. The environment tells:

    API_KEY         the key of a client; or API_KEY_FILE, a file that holds it; else that of `./run up` is taken
    LOAD_SEED       a number: the same one makes the same customers
    LOAD_SHAPE      steady, spike or soak, with LOAD_USERS and LOAD_SECONDS; without it, the page or -u and -t decide
    LOAD_JOURNAL    a file for a line about each accepted order
"""

import json
import os
import random
import time
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, LoadTestShape, between, task

from benchmarks.load.journal import Journal, Line
from benchmarks.load.shapes import SHAPES, ShapeName
from benchmarks.load.visits import Visit, Watching, visit

ENDPOINTS = Path(__file__).parents[1] / ".stack" / "endpoints.json"


def key() -> str:
    """The client's, from wherever it is."""
    if file := os.environ.get("API_KEY_FILE"):
        return Path(file).read_text().strip()
    return os.environ.get("API_KEY") or json.loads(ENDPOINTS.read_text())["api_keys"]["client"]


FINAL = {"ready", "rejected", "cancelled"}
POLL_INTERVAL = 0.2
PATIENCE = 30.0
"""Seconds."""
MOST_TRIES = 10
"""Of one request, under one key, while the answer is lost or says: later."""
ACCEPTED, TOO_LATE, LATER = 201, 409, (429, 503)
"""Statuses of answers."""

NUMBERS = count()
SEED = int(os.environ.get("LOAD_SEED", random.SystemRandom().randrange(2**32)))
JOURNAL = Journal(Path(os.environ.get("LOAD_JOURNAL", os.devnull)))


class Customer(FastHttpUser):
    """Visits the shop again and again."""

    wait_time = between(0.0, 0.5)
    default_headers = {"Authorization": f"Bearer {key()}"}  # noqa: RUF012 - as locust has it
    network_timeout = PATIENCE
    connection_timeout = PATIENCE

    def on_start(self) -> None:
        self.random = random.Random(f"{SEED}/{next(NUMBERS)}")  # noqa: S311 - what customers order need not be secret
        self.skus: list[str] = []
        self.browse()

    @task
    def visit(self) -> None:
        intent = visit(self.random, self.skus)
        if intent.browses:
            self.browse()
            time.sleep(intent.thinks)
        self.order(intent)

    def browse(self) -> None:
        products: list[dict[str, Any]] = self.client.get("/products").json()
        self.skus = [product["sku"] for product in products if product["currency"] == "EUR"]

    def order(self, intent: Visit) -> None:
        started, under = time.perf_counter(), str(uuid4())
        order_id = self.place(intent, under)
        if order_id is None:
            return
        JOURNAL.write(Line(order_id, endings=tuple(intent.endings)))
        if intent.repeats:
            self.repeat(intent, under, order_id)
        if intent.cancels:
            self.cancel(order_id)
        if intent.watching is not Watching.NOT:
            self.watch(order_id, intent.watching, started)

    def place(self, intent: Visit, under: str, name: str = "/orders") -> str | None:
        """Order, again and again under one key, until it is accepted: as a good client does."""
        for _ in range(MOST_TRIES):
            headers = {"Idempotency-Key": under}
            with self.client.post(
                "/orders", json=intent.wish, headers=headers, name=name, catch_response=True
            ) as response:
                if response.status_code == ACCEPTED:
                    return str(response.json()["order_id"])
                if response.status_code not in LATER:
                    response.failure(f"status {response.status_code}")
                    return None
                response.success()  # it was told to come later, and does
                pause = float((response.headers or {}).get("Retry-After", "1"))
            time.sleep(pause)
        self.tell("FLOW", "give up ordering", 0, RuntimeError(f"not accepted in {MOST_TRIES} tries"))
        return None

    def repeat(self, intent: Visit, under: str, order_id: str) -> None:
        """Send the same request again: it is the same order."""
        again = self.place(intent, under, name="/orders, the same again")
        if again not in {order_id, None}:
            wrong = f"two orders under one idempotency key: {order_id} and {again}"
            JOURNAL.write(Line(order_id, wrong=wrong))
            self.tell("FLOW", "same key, same order", 0, AssertionError(wrong))

    def cancel(self, order_id: str) -> None:
        with self.client.post(
            f"/orders/{order_id}/cancel", name="/orders/{order_id}/cancel", catch_response=True
        ) as response:
            if response.status_code == TOO_LATE or response.status_code in LATER:
                response.success()

    def watch(self, order_id: str, watching: Watching, started: float) -> None:
        """Follow the order until its final state is known."""
        deadline = started + PATIENCE
        final = watching is Watching.STREAM and self.stream(order_id)
        while not final and time.perf_counter() < deadline:
            response = self.client.get(f"/orders/{order_id}", name="/orders/{order_id}")
            final = response.ok and response.json()["status"] in FINAL
            if not final:
                time.sleep(POLL_INTERVAL)
        late = None if final else TimeoutError(f"not final after {PATIENCE} s")
        self.tell("FLOW", "order to final", 1000 * (time.perf_counter() - started), late)

    def stream(self, order_id: str) -> bool:
        """Read the order's timeline as it happens, which ends with the order."""
        with self.client.get(
            f"/orders/{order_id}/events", name="/orders/{order_id}/events, to its end", catch_response=True
        ) as response:
            if response.status_code in LATER:
                response.success()
            return "event: reached" in (response.text or "")

    def tell(self, kind: str, name: str, milliseconds: float, wrong: Exception | None = None) -> None:
        """Add a line of our own to the statistics."""
        self.environment.events.request.fire(
            request_type=kind,
            name=name,
            response_time=milliseconds,
            response_length=0,
            exception=wrong,
            context=self.context(),
        )


if shape_name := os.environ.get("LOAD_SHAPE"):

    class Chosen(LoadTestShape):
        """The shape that was asked for."""

        shape = SHAPES[ShapeName(shape_name)]
        users = int(os.environ.get("LOAD_USERS", shape.users))
        seconds = float(os.environ.get("LOAD_SECONDS", shape.seconds))

        def tick(self) -> tuple[int, float] | None:
            wanted = self.shape.users_at(self.get_run_time(), self.users, self.seconds)
            return None if wanted is None else (wanted, float(self.users))
