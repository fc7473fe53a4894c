"""How a bug is planted: a function of the running code is replaced by a broken one."""

from collections.abc import Callable
from typing import Any


def plant(owner: Any, name: str, broken: Callable[[Any], Any]) -> None:
    """Replace it by what `broken` makes of the right one. Raises AttributeError if there is none of that name."""
    setattr(owner, name, broken(getattr(owner, name)))
