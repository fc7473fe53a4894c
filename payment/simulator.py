"""A simulated card gateway, the remote end of `payment.gateway`.

Its accounts are kept in payment's database, so that they survive a crash of the service as a real gateway's would. It
decides by test tokens, in the manner of card processors' test cards.
"""

import asyncio
from collections.abc import Callable
from enum import StrEnum

from contracts import CancelReason, DeclineReason, Money
from messaging.database import Database
from messaging.ledger import Ledger
from payment.domain import Verdict
from payment.gateway import Charge, GatewayUnavailable
from payment.models import AccountStatus, GatewayAccount

FLAKY_FAILURES = 2
"""Errors that TestToken.FLAKY gives before it works."""


class TestToken(StrEnum):
    """The cards that it knows; every other one is declined."""

    __test__ = False  # no test class, whatever pytest thinks of its name

    OK = "tok_ok"
    DECLINED = "tok_declined"
    INSUFFICIENT_FUNDS = "tok_insufficient_funds"
    FLAKY = "tok_flaky"
    """Errors (5xx) at first, then fine."""
    TIMEOUT = "tok_timeout"
    """The amount is held, but the answer never arrives."""
    DOWN = "tok_down"
    """Always an error (5xx) when asked to authorize."""
    CAPTURE_REFUSED = "tok_capture_refused"
    """Authorizes; the capture is refused."""


_APPROVED = {TestToken.OK, TestToken.FLAKY, TestToken.TIMEOUT, TestToken.CAPTURE_REFUSED}

_STANDING = {
    AccountStatus.HELD: Verdict.APPROVED,
    AccountStatus.EXPIRED: Verdict.APPROVED,
    AccountStatus.DECLINED: Verdict.DECLINED,
    AccountStatus.VOIDED: Verdict.VOIDED,
    AccountStatus.CAPTURED: Verdict.CAPTURED,
    AccountStatus.UNPAID: Verdict.REFUSED,
}


class SimulatedGateway:
    """Answers after `latency` seconds. One key is worked on by one call at a time, whoever calls."""

    def __init__(self, database: Database, latency: float) -> None:
        self._latency = latency
        self._accounts = Ledger[GatewayAccount, Charge | None](database, GatewayAccount)

    async def authorize(self, key: str, token: str, amount: Money) -> Charge:
        """Hold the amount, once; every later call gives the first one's answer."""
        is_lost = False

        def decide(account: GatewayAccount) -> Charge | None:
            nonlocal is_lost
            first = account.status == AccountStatus.UNKNOWN
            if first:
                _present(account, token, amount)
            is_lost = first and token == TestToken.TIMEOUT
            if account.status in {AccountStatus.CAPTURED, AccountStatus.UNPAID}:
                return _charge(account, Verdict.APPROVED)
            return _standing(account)

        charge = await self._call(key, decide)
        if is_lost:
            await asyncio.Event().wait()  # until the caller gives up
        return charge

    async def void(self, key: str, reason: CancelReason) -> Charge:
        """Let go of the hold, or fence a key that holds nothing yet; the first reason stays."""

        def decide(account: GatewayAccount) -> Charge | None:
            if account.status in {AccountStatus.UNKNOWN, AccountStatus.HELD, AccountStatus.EXPIRED}:
                account.status, account.void_reason = AccountStatus.VOIDED, reason
            if account.status in {AccountStatus.CAPTURED, AccountStatus.UNPAID}:
                return _charge(account, Verdict.REFUSED)
            return _standing(account)

        return await self._call(key, decide)

    async def capture(self, key: str) -> Charge:
        """Take what is held. An expired hold, or one whose capture was refused, is renewed first."""

        def decide(account: GatewayAccount) -> Charge:
            if account.status in {AccountStatus.EXPIRED, AccountStatus.UNPAID}:
                account.status, account.generation = AccountStatus.HELD, account.generation + 1
            if account.status == AccountStatus.HELD:
                refused = account.token == TestToken.CAPTURE_REFUSED
                account.status = AccountStatus.UNPAID if refused else AccountStatus.CAPTURED
            taken = account.status == AccountStatus.CAPTURED
            return _charge(account, Verdict.CAPTURED if taken else Verdict.REFUSED)

        return await self._call(key, decide)

    async def find(self, key: str) -> Charge | None:
        """Say what stands under the key."""
        await asyncio.sleep(self._latency)
        account = await self._accounts.find(key)
        return None if account is None else _standing(account)

    async def _call(self, key: str, decide: Callable[[GatewayAccount], Charge | None]) -> Charge:
        await asyncio.sleep(self._latency)
        charge = await self._accounts.settle(key, decide)
        if charge is None:  # nothing is decided yet
            raise GatewayUnavailable("503 Service Unavailable")
        return charge


def _present(account: GatewayAccount, token: str, amount: Money) -> None:
    """Decide as the card's issuer would; an account that stays unknown was answered with an error."""
    account.token, account.amount, account.currency = token, amount.amount, amount.currency
    account.attempts += 1
    if token == TestToken.DOWN or (token == TestToken.FLAKY and account.attempts <= FLAKY_FAILURES):
        return
    if token in _APPROVED:
        account.status = AccountStatus.HELD
        return
    no_cover = token == TestToken.INSUFFICIENT_FUNDS
    account.status = AccountStatus.DECLINED
    account.decline_reason = DeclineReason.INSUFFICIENT_FUNDS if no_cover else DeclineReason.CARD_DECLINED


def _standing(account: GatewayAccount) -> Charge | None:
    if account.status == AccountStatus.UNKNOWN:
        return None
    return _charge(account, _STANDING[account.status])


def _charge(account: GatewayAccount, verdict: Verdict) -> Charge:
    return Charge(verdict, _payment_id(account), account.decline_reason, account.void_reason)


def _payment_id(account: GatewayAccount) -> str | None:
    if account.token is None:
        return None  # fenced before anything was asked
    name = f"pay_{account.key.replace('-', '')}"
    return name if account.generation == 1 else f"{name}_{account.generation}"
