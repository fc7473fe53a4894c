"""Whether we got slower: our ratios against the limit program, which shares machine and servers, beside kept ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from benchmarks.figures import Spread
from benchmarks.results import ALL, FINISHED, HALF_LOAD, KEPT, PYTHON, Results

FILE = Path(__file__).with_name("ratios.json")
MEASURES = (FINISHED, PYTHON, ALL, HALF_LOAD, KEPT)
BETTER = {measure.name: measure.more_is_better for measure in MEASURES}

Ratios = Mapping[str, Spread]


def measured(results: Results) -> Ratios:
    """Return ours against the limit's, by measure."""
    return {measure.name: results.ratio("ours", "limit", measure) for measure in MEASURES}


def keep(ratios: Ratios, path: Path = FILE) -> None:
    """Keep them in the repository."""
    path.write_text(json.dumps({name: asdict(spread) for name, spread in ratios.items()}, indent=2) + "\n")


def kept(path: Path = FILE) -> Ratios:
    """Return those that are kept; none before the first."""
    return TypeAdapter(dict[str, Spread]).validate_python(json.loads(path.read_text())) if path.exists() else {}


def worse(now: Ratios, before: Ratios) -> list[str]:
    """Say what is worse beyond the spread of both: its best round is not as good as the worst one was."""
    return [
        f"{name}: {now[name].text(2)} of the limit's, was {was.text(2)}"
        for name, was in before.items()
        if name in now and (now[name].high < was.low if BETTER[name] else now[name].low > was.high)
    ]
