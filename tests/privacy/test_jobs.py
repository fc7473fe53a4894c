"""The jobs behind `./run erase`, when they are called wrongly or find nobody there: they say the way out."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

import messaging.__main__ as messaging_jobs
import order_api.__main__ as order_api_jobs

NOWHERE = "postgresql://orders:geheim@127.0.0.1:1/none"
ORDER = "0192f5a0-7b1c-7000-8000-00000000002a"
AWAY = {
    "PAYMENT_DATABASE_URL": NOWHERE,
    "NONE_SUCH_DATABASE_URL": NOWHERE,
    "ORDER_API_DATABASE_URL": NOWHERE,
    "AMQP_URL": "amqp://orders:geheim@127.0.0.1:1/",
}


def messaging_job(*arguments: str, orders: str = ORDER, **environment: str) -> Result:
    """Run a job of `python -m messaging`."""
    return CliRunner().invoke(messaging_jobs.app, arguments, input=orders, env={**AWAY, **environment})


def order_api_job(*arguments: str, orders: str = ORDER) -> Result:
    """Run a job of `python -m order_api`."""
    return CliRunner().invoke(order_api_jobs.app, arguments, input=orders, env=AWAY)


@pytest.mark.parametrize(
    ("result", "status", "said"),
    [
        (lambda: messaging_job("erase", "payment"), 1, "payment: its database does not answer"),
        (lambda: messaging_job("erase", "payment", PAYMENT_DATABASE_URL=""), 2, "PAYMENT_DATABASE_URL is not set"),
        (lambda: messaging_job("erase", "none_such"), 2, "no service 'none_such' is here"),
        (lambda: messaging_job("erase", "payment", orders=f"{ORDER}\nAda\n"), 2, "line 2 is no order's id"),
        (lambda: messaging_job("erase-messages"), 1, "No message is lost; try again"),
        (lambda: messaging_job("erase-messages", orders="Ada"), 2, "line 1 is no order's id"),
        (lambda: order_api_job("erase", "find", "c-42"), 1, "database does not answer"),
        (lambda: order_api_job("erase", "find"), 2, "name a customer, or give --older-than"),
        (lambda: order_api_job("erase", "finish"), 1, "database does not answer"),
        (lambda: order_api_job("erase", "finish", orders="Ada"), 2, "line 1 is no order's id"),
        (lambda: order_api_job("erase", "list"), 1, "database does not answer"),
    ],
)
def test_a_job_says_what_is_wrong(result: Callable[[], Result], status: int, said: str) -> None:
    """The status tells programs, the text tells people; neither what was typed by mistake nor a password is in it."""
    done = result()
    assert (done.exit_code, said in done.output) == (status, True), done.output
    assert "geheim" not in done.output
    assert "Ada" not in done.output
    assert "Traceback" not in done.output
