"""The simulated card gateway, on a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import pytest_asyncio

from contracts import CancelReason, DeclineReason, Money, OrderCreated
from messaging.database import Database
from payment.domain import Verdict
from payment.gateway import CardGateway, GatewayUnavailable
from payment.models import AccountStatus, GatewayAccount
from payment.simulator import SimulatedGateway
from payment.simulator import TestToken as Token

pytestmark = pytest.mark.database

KEY = str(OrderCreated.example().order_id)
EUROS = Money(amount=2580, currency="EUR")
CUSTOMER = CancelReason.CUSTOMER


@pytest_asyncio.fixture
async def database(service_database: Callable[[str], Awaitable[Database]]) -> Database:
    """Payment's database, fresh."""
    return await service_database("payment")


@pytest.fixture
def gateway(database: Database) -> SimulatedGateway:
    """Make a gateway that answers at once."""
    return SimulatedGateway(database, latency=0)


async def change_account(database: Database, **values: object) -> None:
    """Change the account behind the gateway's back."""
    async with database.session() as db, db.begin():
        account = await db.get_one(GatewayAccount, KEY)
        for name, value in values.items():
            setattr(account, name, value)


async def test_a_good_card_is_held_and_captured(gateway: SimulatedGateway) -> None:
    """The amount is held on a good card, then taken, under one name."""
    held = await gateway.authorize(KEY, Token.OK, EUROS)
    taken = await gateway.capture(KEY)
    assert (held.verdict, taken.verdict) == (Verdict.APPROVED, Verdict.CAPTURED)
    assert held.payment_id == taken.payment_id == "pay_" + KEY.replace("-", "")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (Token.DECLINED, DeclineReason.CARD_DECLINED),
        (Token.INSUFFICIENT_FUNDS, DeclineReason.INSUFFICIENT_FUNDS),
        ("tok_nobody_knows", DeclineReason.CARD_DECLINED),
    ],
)
async def test_bad_cards_are_declined_with_their_reason(gateway: SimulatedGateway, token: str, reason: str) -> None:
    """A card that the issuer refuses, or that nobody knows, is declined, and stays declined when it is voided."""
    charge = await gateway.authorize(KEY, token, EUROS)
    assert (charge.verdict, charge.decline_reason) == (Verdict.DECLINED, reason)
    assert (await gateway.void(KEY, CUSTOMER)).verdict == Verdict.DECLINED
    assert (await gateway.capture(KEY)).verdict == Verdict.REFUSED


@pytest.mark.parametrize("token", [Token.OK, Token.DECLINED])
async def test_asking_again_gives_the_same_answer(gateway: SimulatedGateway, token: str) -> None:
    """An idempotency key has one answer, whatever card it is asked with later."""
    first = await gateway.authorize(KEY, token, EUROS)
    assert await gateway.authorize(KEY, token, EUROS) == first
    assert await gateway.authorize(KEY, Token.INSUFFICIENT_FUNDS, EUROS) == first


async def test_a_captured_payment_stays_authorized_for_repeats(gateway: SimulatedGateway) -> None:
    """A replayed authorization of a captured payment is approved, not made again; a repeated capture takes nothing."""
    await gateway.authorize(KEY, Token.OK, EUROS)
    taken = await gateway.capture(KEY)
    assert (await gateway.authorize(KEY, Token.OK, EUROS)).verdict == Verdict.APPROVED
    assert await gateway.capture(KEY) == taken


async def test_a_void_of_an_unknown_key_is_a_fence(gateway: SimulatedGateway) -> None:
    """Voiding what was never authorized makes sure that it never will be; the reason of the fence is told."""
    assert (await gateway.void(KEY, CUSTOMER)).verdict == Verdict.VOIDED
    charge = await gateway.authorize(KEY, Token.OK, EUROS)
    assert (charge.verdict, charge.void_reason, charge.payment_id) == (Verdict.VOIDED, CUSTOMER, None)
    assert (await gateway.capture(KEY)).verdict == Verdict.REFUSED


async def test_a_void_lets_go_of_the_hold_for_good(gateway: SimulatedGateway) -> None:
    """A voided payment can be neither captured nor authorized again, and keeps its first reason."""
    await gateway.authorize(KEY, Token.OK, EUROS)
    await gateway.void(KEY, CUSTOMER)
    assert (await gateway.capture(KEY)).verdict == Verdict.REFUSED
    assert (await gateway.authorize(KEY, Token.OK, EUROS)).verdict == Verdict.VOIDED
    assert (await gateway.void(KEY, CancelReason.DEADLINE)).void_reason == CUSTOMER


async def test_a_captured_payment_cannot_be_voided(gateway: SimulatedGateway) -> None:
    """Money that was taken is not let go of by a void."""
    await gateway.authorize(KEY, Token.OK, EUROS)
    await gateway.capture(KEY)
    assert (await gateway.void(KEY, CUSTOMER)).verdict == Verdict.REFUSED
    assert (await gateway.capture(KEY)).verdict == Verdict.CAPTURED


async def test_an_expired_hold_is_renewed_by_its_capture(gateway: SimulatedGateway, database: Database) -> None:
    """A capture that comes after the hold lapsed authorizes anew, under the key's next generation."""
    held = await gateway.authorize(KEY, Token.OK, EUROS)
    await change_account(database, status=AccountStatus.EXPIRED)
    assert (await gateway.authorize(KEY, Token.OK, EUROS)).verdict == Verdict.APPROVED
    taken = await gateway.capture(KEY)
    assert (taken.verdict, taken.payment_id) == (Verdict.CAPTURED, f"{held.payment_id}_2")


async def test_an_expired_hold_can_be_voided(gateway: SimulatedGateway, database: Database) -> None:
    """A hold that lapsed before it was voided is never renewed."""
    await gateway.authorize(KEY, Token.OK, EUROS)
    await change_account(database, status=AccountStatus.EXPIRED)
    assert (await gateway.void(KEY, CUSTOMER)).verdict == Verdict.VOIDED
    assert (await gateway.capture(KEY)).verdict == Verdict.REFUSED


async def test_a_refused_capture_can_be_tried_again(gateway: SimulatedGateway, database: Database) -> None:
    """A card that authorizes may refuse the capture; once it is in order, a later capture takes the money."""
    assert (await gateway.authorize(KEY, Token.CAPTURE_REFUSED, EUROS)).verdict == Verdict.APPROVED
    assert (await gateway.capture(KEY)).verdict == Verdict.REFUSED
    assert (await gateway.authorize(KEY, Token.CAPTURE_REFUSED, EUROS)).verdict == Verdict.APPROVED
    await change_account(database, token=Token.OK)
    assert (await gateway.capture(KEY)).verdict == Verdict.CAPTURED


async def test_a_flaky_gateway_counts_its_errors_across_restarts(database: Database) -> None:
    """Two errors, then fine, even when each attempt is made by another process."""
    for _ in range(2):
        with pytest.raises(GatewayUnavailable):
            await SimulatedGateway(database, 0).authorize(KEY, Token.FLAKY, EUROS)
    assert (await SimulatedGateway(database, 0).authorize(KEY, Token.FLAKY, EUROS)).verdict == Verdict.APPROVED


async def test_a_gateway_that_is_down_can_still_be_fenced(gateway: SimulatedGateway) -> None:
    """An order whose authorization always fails can be cancelled: the fence holds."""
    for _ in range(4):
        with pytest.raises(GatewayUnavailable):
            await gateway.authorize(KEY, Token.DOWN, EUROS)
    assert (await gateway.void(KEY, CUSTOMER)).verdict == Verdict.VOIDED
    assert (await gateway.authorize(KEY, Token.DOWN, EUROS)).verdict == Verdict.VOIDED


async def test_an_answer_that_is_lost_is_found_by_query(database: Database) -> None:
    """A card whose authorization is never answered is authorized all the same, and only once."""
    gateway = SimulatedGateway(database, 0)
    order = OrderCreated.example().model_copy(update={"payment_token": str(Token.TIMEOUT)})
    card = CardGateway(gateway, timeout=0.5)
    found = await card.authorize(order)
    assert (found.verdict, found) == (Verdict.APPROVED, await gateway.find(KEY))
    assert await card.authorize(order) == found


async def test_nothing_is_found_where_nothing_was_decided(gateway: SimulatedGateway) -> None:
    """A key that was never asked about, or was answered by errors alone, is unknown."""
    assert await gateway.find(KEY) is None
    with pytest.raises(GatewayUnavailable):
        await gateway.authorize(KEY, Token.DOWN, EUROS)
    assert await gateway.find(KEY) is None


async def test_concurrent_calls_agree(database: Database) -> None:
    """When authorizations and voids of one order race, all answers tell of one and the same outcome."""
    gateways = [SimulatedGateway(database, 0) for _ in range(4)]
    for number in range(10):
        key = f"race-{number}"
        authorized = [gateway.authorize(key, Token.OK, EUROS) for gateway in gateways]
        voided = [gateway.void(key, CUSTOMER) for gateway in gateways[:2]]
        await asyncio.gather(*authorized, *voided)
        assert (await gateways[0].authorize(key, Token.OK, EUROS)).verdict == Verdict.VOIDED
        assert (await gateways[1].capture(key)).verdict == Verdict.REFUSED


async def test_a_capture_and_a_void_that_race_have_one_winner(database: Database) -> None:
    """Money is taken or let go of, never both, whichever of two workers comes first."""
    one, other = SimulatedGateway(database, 0), SimulatedGateway(database, 0)
    for number in range(10):
        key = f"race-{number}"
        await one.authorize(key, Token.OK, EUROS)
        captured, voided = await asyncio.gather(one.capture(key), other.void(key, CUSTOMER))
        assert {captured.verdict, voided.verdict} in (
            {Verdict.CAPTURED, Verdict.REFUSED},
            {Verdict.REFUSED, Verdict.VOIDED},
        )
