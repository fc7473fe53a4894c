"""Messages that no service can handle, made up by dice: each is to be parked, whatever it is made of."""

import json
import random
import string as alphabet
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from contracts import EVENTS
from messaging.topology import DEAD, REQUEUE, event_of
from tests.fuzz_amqp import wire
from tests.fuzz_amqp.wire import Field

CARD = "4111111111111111"
"""A card's number, in bodies and as a correlation id."""
MEBIBYTE = 1024 * 1024
Properties = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Odd:
    """A message and where it is published to; its body tells it from all others."""

    queue: str
    exchange: str
    body: bytes = field(repr=False)
    properties: Mapping[str, bytes]
    about: str

    def __str__(self) -> str:
        return f"{self.about}, to {self.queue} by {self.exchange}"


def odd(dice: random.Random, queue: str, *, largest: int) -> Odd:
    """A message for that queue with a body that is no event, or an event's with properties that contradict it."""
    event = _event(dice, queue)
    proper = _proper(event)
    if dice.random() < 0.6:
        make = dice.choice(_BODIES)
        body, properties = make(dice, event), {**proper, **_harmless(dice)}
        if dice.random() < 0.5:
            properties |= dice.choice(_CONTRADICTIONS)(dice)
        about = make.__name__
    else:
        make = dice.choice(_CONTRADICTIONS)
        body, properties = _json(event), {**proper, **_harmless(dice), **make(dice)}
        about = make.__name__
    if largest and dice.random() < 0.02:
        body, about = event["event_id"].encode() + b" " * dice.randint(MEBIBYTE, largest), "large"
    exchange = DEAD if dice.random() < 0.1 else REQUEUE
    return Odd(queue, exchange, body, properties, about)


def _event(dice: random.Random, queue: str) -> dict[str, Any]:
    """The example of the queue's event, under ids of its own, with a card's number where there is a token."""
    kind = EVENTS[event_of(queue)]
    ids = {name: str(UUID(int=dice.getrandbits(128), version=4)) for name in ("event_id", "order_id")}
    said = kind.example().model_dump(mode="json")
    return {**said, **{name: value for name, value in ids.items() if name in said}, "note": CARD}


def _proper(event: Mapping[str, Any]) -> Properties:
    return {
        "message_id": wire.short(str(event["event_id"]).encode()),
        "correlation_id": wire.short(str(event.get("order_id", event["event_id"])).encode()),
        "content_type": wire.short(b"application/json"),
        "delivery_mode": b"\x02",
    }


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


# Bodies: none is an event, and each holds its event's id, so that no two are alike.


def _cut_off(dice: random.Random, event: dict[str, Any]) -> bytes:
    text = _json({"event_id": event["event_id"], **event})
    return text[: dice.randint(60, len(text) - 1)]


def _bytes(dice: random.Random, event: dict[str, Any]) -> bytes:
    return dice.randbytes(dice.randint(0, 2_000)) + str(event["event_id"]).encode()


def _another_encoding(dice: random.Random, event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode(dice.choice(["utf-16", "utf-32", "utf-8-sig", "cp037"]))


def _another_kind(dice: random.Random, event: dict[str, Any]) -> bytes:
    return _json(dice.choice([[event], event["event_id"], [[event["event_id"], None, True, 0.5]], {"event": event}]))


def _wrong_type(dice: random.Random, event: dict[str, Any]) -> bytes:
    wrong = dice.choice([None, True, [], {}, -1, 0.5, [CARD], {"a": [CARD]}, "", "\x00", "\ud800", CARD, 10**400])
    return _json({**event, dice.choice(["occurred_at", "version"]): wrong, "of": event["event_id"]})


def _left_out(dice: random.Random, event: dict[str, Any]) -> bytes:
    left = dice.choice(["event_id", "occurred_at"])
    return _json({**{name: value for name, value in event.items() if name != left}, "of": event["event_id"]})


def _number(dice: random.Random, event: dict[str, Any]) -> bytes:
    number = dice.choice(["NaN", "Infinity", "-Infinity", "1e999", "-0", "01", "0x1", "9" * 5_000, f"1e-{'9' * 50}"])
    return _json({**event, "version": "HERE"}).replace(b'"HERE"', number.encode())


def _deep(dice: random.Random, event: dict[str, Any]) -> bytes:
    depth, (left, right) = dice.choice([60, 600, 60_000]), dice.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return _json({**event, "version": "HERE"}).replace(b'"HERE"', left * depth + b"1" + right * depth)


def _half_a_character(dice: random.Random, event: dict[str, Any]) -> bytes:
    half = dice.choice([rb'"\ud800"', b'"\xed\xa0\x80"', b'"\xff"', b'"\x00"'])
    return _json({**event, "occurred_at": "HERE"}).replace(b'"HERE"', half)


_BODIES: list[Callable[[random.Random, dict[str, Any]], bytes]] = [
    _cut_off,
    _bytes,
    _another_encoding,
    _another_kind,
    _wrong_type,
    _left_out,
    _number,
    _deep,
    _half_a_character,
]


# Properties that contradict a good body.


def _id(dice: random.Random) -> Properties:
    return {"message_id": wire.short(dice.choice([b"", b"x", dice.randbytes(16).hex().encode(), b"9" * 255, b"\xff"]))}


def _type(dice: random.Random) -> Properties:
    return {"message_type": wire.short(dice.choice([b"order.exploded.v1", b"\xff", b"v1" * 100]))}


def _content(dice: random.Random) -> Properties:
    if dice.random() < 0.5:
        return {"content_encoding": wire.short(dice.choice([b"gzip", b"utf-16", b"x" * 255]))}
    return {"content_type": wire.short(dice.choice([b"text/xml", b"application/json; charset=utf-8", b"\xc3"]))}


def _count(dice: random.Random) -> Properties:
    name = dice.choice([b"x-attempt", b"x-redrive", b"x-replay-id"])
    wrong = [wire.string(b"many"), wire.number("l", -1), b"A" + wire.long(b""), wire.number("d", 0.5)]
    return {"headers": wire.table({**_headers(dice), name: dice.choice(wrong)})}


def _moment(dice: random.Random) -> Properties:
    late = dice.choice([2**60, 2**64 - 1, 253_402_300_800_000])
    if dice.random() < 0.5:
        return {"timestamp": struct.pack(">Q", late)}
    return {"headers": wire.table({**_headers(dice), b"when": wire.number("T", late)})}


def _name(dice: random.Random) -> Properties:
    return {"headers": wire.table({**_headers(dice), dice.choice([b"\xff", b"\xc3" * 200]): b"V"})}


def _too_much(dice: random.Random) -> Properties:
    fields = [wire.nested(dice.choice([40, 4_000, 10_000]), dice.choice("FA")), wire.string(b"h" * 120_000)]
    return {"headers": wire.table({b"much": dice.choice(fields)})}


_CONTRADICTIONS: list[Callable[[random.Random], Properties]] = [
    _id,
    _type,
    _content,
    _count,
    _moment,
    _name,
    _too_much,
]


# What changes nothing.


def _harmless(dice: random.Random) -> Properties:
    """Some of what a message may have and nobody looks at."""
    every = {
        "headers": wire.table(_headers(dice)),
        "priority": bytes([dice.randrange(256)]),
        "reply_to": wire.short(dice.choice([b"", b"amq.rabbitmq.reply", dice.randbytes(20).hex().encode()])),
        "expiration": wire.short(dice.choice([b"60000", b"4294967295"])),
        "timestamp": struct.pack(">Q", dice.choice([0, 1, 2**32 - 1])),
        "user_id": wire.short(b"orders"),
        "app_id": wire.short(b"a" * dice.randrange(256)),
        "correlation_id": wire.short(dice.choice([b"", b"x", CARD.encode()])),
        "cluster_id": wire.short(b"c" * dice.randrange(256)),
        "delivery_mode": dice.choice([b"\x01", b"\x02"]),
    }
    return {name: every[name] for name in dice.sample(list(every), dice.randint(0, 4))}


def _headers(dice: random.Random) -> dict[bytes, Field]:
    """Headers of every type, under names that mean something and names that do not; read as poison, or not at all."""
    meaningful = [
        b"traceparent",
        b"x-death",
        b"x-first-failure",
        b"x-last-failure",
        b"x-error-class",
        b"x-causation-id",
    ]
    meaningful += [b"x-error-reason", b"x-delivery-count", b"x-first-death-queue", b"x-acquired-count", b"baggage"]
    names = [*dice.sample(meaningful, dice.randint(0, 4)), *(_word(dice) for _ in range(dice.randint(0, 4)))]
    return {name: _field(dice, 3) for name in names}


def _field(dice: random.Random, depth: int) -> Field:
    simple: list[Callable[[], Field]] = [
        lambda: b"V",
        lambda: wire.number("t", dice.getrandbits(1)),
        lambda: wire.number("b", dice.randint(-128, 127)),
        lambda: wire.number("B", dice.randint(0, 255)),
        lambda: wire.number("s", dice.randint(-(2**15), 2**15 - 1)),
        lambda: wire.number("u", dice.randint(0, 2**16 - 1)),
        lambda: wire.number("I", dice.randint(-(2**31), 2**31 - 1)),
        lambda: wire.number("i", dice.randint(0, 2**32 - 1)),
        lambda: wire.number("l", dice.randint(-(2**63), 2**63 - 1)),
        lambda: wire.number("f", dice.uniform(-1e30, 1e30)),
        lambda: wire.number("d", dice.choice([0.1, -1e300, 1e300])),
        lambda: wire.decimal(dice.randrange(256), dice.getrandbits(32)),
        lambda: wire.number("T", dice.choice([0, 1_763_918_284, 2**32])),
        lambda: b"x" + wire.long(dice.randbytes(dice.randrange(50))),
        lambda: wire.string(dice.choice([b"", _word(dice), b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"s" * 65_536])),
    ]
    if depth and dice.random() < 0.3:
        inner = [_field(dice, depth - 1) for _ in range(dice.randrange(4))]
        if sum(map(len, inner)) < 60_000:
            return (
                wire.array(inner) if dice.random() < 0.5 else b"F" + wire.table({_word(dice): each for each in inner})
            )
    return dice.choice(simple)()


def _word(dice: random.Random) -> bytes:
    return "".join(dice.choices(alphabet.ascii_lowercase + "-ü", k=dice.randint(1, 60))).encode()
