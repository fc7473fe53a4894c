"""The topology as a picture: who publishes what, which queues receive it, the retry loop and the dead letters.

Producers and their events stand left, `orders.events` is the bar beside them, work queues stand in frames by service,
dead letters right of their queues; unrouted events and the retry loop are below. Places are computed here, the drawing
is templates/topology.svg.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from messaging.asyncapi.reference import Reference, anchor, in_words
from messaging.topology import DEAD, EVENTS, REQUEUE, UNROUTED, dead_letter_queue

_MARGIN, _GAP = 16, 34
_PRODUCERS, _BAR, _QUEUES, _DEAD_LETTERS = 204, 112, 272, 84
WIDTH = 2 * _MARGIN + 4 * _GAP + _PRODUCERS + 2 * _BAR + _QUEUES + _DEAD_LETTERS
_ROW, _BOX = 24, 20
_PAD, _HEAD = 8, 26
_TOP = 44
_BAND, _BAND_HEIGHT = 74, 96
"""Room between the pipeline and the band below it, in which the arrows are labelled; the band's height."""


@dataclass(frozen=True)
class Box:
    """A rectangle with a label that leads to a place of the page."""

    kind: str
    label: str
    target: str
    title: str
    x: float
    y: float
    width: float
    height: float = _BOX

    @property
    def middle(self) -> float:
        """Half its height."""
        return self.y + self.height / 2

    @property
    def text_y(self) -> float:
        """Where its label stands: in the middle, of a tall box at the top, where it is seen first."""
        return self.y + min(self.height / 2, _BOX) + 4

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Where it ends below."""
        return self.y + self.height


@dataclass(frozen=True)
class Arrow:
    """A line through these points, with a head at its end."""

    kind: str
    points: Sequence[tuple[float, float]]

    @property
    def path(self) -> str:
        """The line as SVG has it."""
        return "M" + " L".join(f"{x:g} {y:g}" for x, y in self.points)


@dataclass(frozen=True)
class Label:
    """A text between the boxes."""

    text: str
    x: float
    y: float


@dataclass
class Picture:
    """All that is drawn."""

    height: float = 0
    frames: list[Box] = field(default_factory=list[Box])
    boxes: list[Box] = field(default_factory=list[Box])
    arrows: list[Arrow] = field(default_factory=list[Arrow])
    labels: list[Label] = field(default_factory=list[Label])


def picture(reference: Reference) -> Picture:
    """Lay the topology out."""
    drawn = Picture()
    events_x = _MARGIN + _PRODUCERS + _GAP
    queues_x = events_x + _BAR + _GAP
    dead_x = queues_x + _QUEUES + _GAP
    parked_x = dead_x + _BAR + _GAP
    said = [(page.name, [send.event for send in page.sends]) for page in reference.services if page.sends]
    heard = [(page.name, [each.queue for each in page.receives]) for page in reference.services if page.receives]
    events = _groups(drawn, "event", said, _MARGIN, _PRODUCERS)
    queues = _groups(drawn, "queue", heard, queues_x, _QUEUES)
    bottom = max((frame.bottom for frame in drawn.frames), default=_TOP + _BOX)
    bar = _bar(EVENTS, "exchange", events_x, bottom)
    dead = _bar(DEAD, "dead", dead_x, bottom)
    drawn.boxes += (bar, dead)
    drawn.arrows += (Arrow("flow", ((box.right, box.middle), (bar.x, box.middle))) for box in events)
    for box in queues:
        parked = dead_letter_queue(box.label)
        ending = dead_letter_queue("")
        tray = Box("dead", ending, anchor("queue", parked), f"{parked}: dead letters", parked_x, box.y, _DEAD_LETTERS)
        drawn.boxes.append(tray)
        drawn.arrows += (
            Arrow("flow", ((bar.right, box.middle), (box.x, box.middle))),
            Arrow("dead", ((box.right, box.middle), (dead.x, box.middle))),
            Arrow("dead", ((dead.right, box.middle), (tray.x, box.middle))),
        )
    drawn.labels += (
        Label("producers and their events", _MARGIN + _PRODUCERS / 2, 24),
        Label("exchange", bar.x + _BAR / 2, 24),
        Label("work queues by consumer", queues_x + _QUEUES / 2, 24),
        Label("no retry helps", dead.x + _BAR / 2, 24),
        Label("dead letters", parked_x + _DEAD_LETTERS / 2, 24),
    )
    _unrouted(drawn, bar)
    _retries(drawn, reference, queues_x, bottom)
    drawn.height = bottom + _BAND + _BAND_HEIGHT + _MARGIN
    return drawn


def _groups(
    drawn: Picture, kind: str, groups: Iterable[tuple[str, Sequence[str]]], x: float, width: float
) -> list[Box]:
    """One frame for each service, with a box for each name; returns the boxes."""
    made: list[Box] = []
    y: float = _TOP
    for service, names in groups:
        height = _HEAD + len(names) * _ROW + _PAD - (_ROW - _BOX)
        target = anchor("service", service)
        drawn.frames.append(Box("service", service, target, f"Service {service}", x, y, width, height))
        for index, name in enumerate(names):
            top = y + _HEAD + index * _ROW
            title = f"{name}: {kind}" if kind == "event" else f"{name}: work queue"
            made.append(Box(kind, name, anchor(kind, name), title, x + _PAD, top, width - 2 * _PAD))
        y += height + 12
    drawn.boxes += made
    return made


def _bar(name: str, kind: str, x: float, bottom: float) -> Box:
    return Box(kind, name, anchor("exchange", name), f"{name}: exchange", x, _TOP, _BAR, bottom - _TOP)


def _unrouted(drawn: Picture, bar: Box) -> None:
    """The alternate exchange below the events' own, and its queue."""
    y, width = bar.bottom + _BAND, _BAR + 2 * _PAD
    x = bar.x - _PAD
    target = anchor("exchange", UNROUTED)
    exchange = Box("exchange", UNROUTED, target, f"{UNROUTED}: alternate exchange", x, y, width)
    queue = Box("dead", UNROUTED, anchor("queue", UNROUTED), f"{UNROUTED}: queue", x, y + 52, width)
    middle = bar.x + _BAR / 2
    drawn.boxes += (exchange, queue)
    drawn.arrows += (
        Arrow("dead", ((middle, bar.bottom), (middle, exchange.y))),
        Arrow("dead", ((middle, exchange.bottom), (middle, queue.y))),
    )
    drawn.labels.append(Label("bound to no queue", middle - 76, bar.bottom + _BAND / 2 + 4))


def _retries(drawn: Picture, reference: Reference, x: float, bottom: float) -> None:
    """The tiers in a row, right to left back through the requeue exchange into the work queues."""
    tiers = [page.queue for pages in reference.queues.values() for page in pages if page.queue.kind == "retry"]
    if not tiers:
        return
    y, width = bottom + _BAND, 132
    back = Box("retry", REQUEUE, anchor("exchange", REQUEUE), f"{REQUEUE}: exchange", x, y + 30, width, 28)
    left = back.right + _GAP + 10
    frame = Box(
        "retry",
        "retry tiers: exchange and queue",
        anchor("queues", "retry"),
        "retry tiers: exchange and queue",
        left,
        y,
        WIDTH - _MARGIN - left,
        _BAND_HEIGHT,
    )
    drawn.frames.append(frame)
    drawn.boxes.append(back)
    step = (frame.width - _PAD) / len(tiers)
    for index, tier in enumerate(tiers):
        short = tier.name.rpartition(".")[2]
        place, size = frame.x + _PAD + index * step, step - _PAD
        for kind, top in (("exchange", y + 32), ("queue", y + 64)):
            title = f"{tier.name}: {kind} of a retry tier"
            style = "exchange" if kind == "exchange" else "retry"
            drawn.boxes.append(Box(style, short, anchor(kind, tier.name), title, place, top, size))
        drawn.arrows.append(Arrow("retry", ((place + size / 2, y + 52), (place + size / 2, y + 64))))
    out = x + _QUEUES - 40
    into = x + width / 2
    drawn.arrows += (
        Arrow("retry", ((out, bottom), (out, y))),
        Arrow("retry", ((frame.x, back.middle), (back.right, back.middle))),
        Arrow("retry", ((into, back.y), (into, bottom))),
    )
    delays = max((each.retry.delays for each in reference.receives if each.retry), key=len, default=())
    drawn.labels += (
        Label("fails for a passing reason: " + in_words(delays), out + 150, bottom + _BAND / 2 + 4),
        Label("and returns", into + 46, bottom + _BAND / 2 + 4),
        Label("after its delay", back.x + width / 2, back.bottom + 18),
    )
