"""Bodies that other parsers let pass."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rest.problems import Problem
from rest.strict_json import MAX_DEPTH, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)

BAD = {
    "empty": b"",
    "broken": b'{"a": ',
    "trailing": b"{} {}",
    "comment": b"{} // no",
    "single quotes": b"{'a': 1}",
    "not a number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "unpaired surrogate": rb'{"a": "\ud800"}',
    "unpaired surrogate as a name": rb'{"\udfff": 1}',
    "Latin-1": b'{"a": "\xe9"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "raw NUL": b'{"a": "\x00"}',
    "same name twice": b'{"a": 1, "a": 2}',
    "same name twice, spelled differently": rb'{"a": 1, "\u0061": 2}',
    "same name twice, inside": b'{"a": [{"b": {"c": 1, "c": 1}}]}',
    "too deep": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "far too deep": b"[" * 60_000 + b"]" * 60_000,
    "far too deep, in objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD.keys())
def test_refused(body: bytes) -> None:
    """What is no JSON, or could be read in two ways, ends with status 400."""
    with pytest.raises(Problem) as raised:
        parse(body)
    assert raised.value.status_code == 400


def test_the_greatest_depth() -> None:
    """As many levels as allowed are read."""
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


@pytest.mark.parametrize("number", ["9" * 5_000, "1e400", "-1e400", "1" + "0" * 400])
def test_numbers_beyond_reason(number: str) -> None:
    """A number of any length is refused or becomes a float, which no integer field takes; it raises nothing else."""
    with suppress(Problem):
        assert isinstance(parse(number.encode()), float)


@given(JSON)
def test_good_json_is_read_as_ever(value: object) -> None:
    """Strictness changes no value."""
    assert parse(json.dumps(value).encode()) == value


NAMES = st.text(st.sampled_from('ab"\\:{[,\u00e9 '), max_size=2)


@given(st.lists(st.tuples(NAMES, NAMES | st.lists(NAMES, max_size=2))), st.booleans(), st.sampled_from(["", " ", "\n"]))
def test_a_name_is_found_to_be_there_twice(pairs: list[tuple[str, Any]], ascii_only: bool, space: str) -> None:  # noqa: FBT001 - made up
    """Whatever stands in names and values, however it is written: as often as it happens, and never else."""
    parts = (f"{json.dumps(name, ensure_ascii=ascii_only)}{space}:{space}{json.dumps(value)}" for name, value in pairs)
    body = f"[{{{','.join(parts)}}}]".encode()
    if len({name for name, _ in pairs}) < len(pairs):
        with pytest.raises(Problem):
            parse(body)
    else:
        assert parse(body) == [dict(pairs)]
