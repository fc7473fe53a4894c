"""Results that no machine gave."""

from benchmarks.loops import Loop
from benchmarks.results import About, Results
from benchmarks.turn import Turn


def loop(*, rate: float = 100, p99: float = 100, python: float = 5, unfinished: int = 0, refused: int = 0) -> Loop:
    """A loop that finished so many orders a second."""
    times = {"p50": p99 / 2, "p99": p99, "p99.9": 2 * p99}
    return Loop(
        sent=1000,
        refused={"503": refused} if refused else {},
        unfinished=unfinished,
        accepted_rate=2 * rate,
        finished_rate=rate,
        post=times,
        end_to_end=times,
        processor={"order_api": python, "RabbitMQ": 1, "PostgreSQL": 1, "load generator": 0.1},
    )


def turn(contender: str, closed: Loop, half: Loop | None = None) -> Turn:
    """A turn with these loops."""
    memory = {"order_api": 100_000_000, "RabbitMQ": 1, "PostgreSQL": 1}
    disk = {"databases": 10_000.0, "write-ahead log": 20_000.0}
    return Turn(contender, closed, {} if half is None else {"50%": half}, memory, disk)


def results(*turns: Turn) -> Results:
    """A run of these turns."""
    names = dict.fromkeys(each.contender for each in turns)
    about = {name: About(f"What {name} is.", [f"What {name} loses."]) for name in names}
    return Results({"processors": "2"}, 8, about, turns)
