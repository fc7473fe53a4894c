"""Fields of requests: texts that can be stored, moments in RFC 3339."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

NO_CONTROL_CHARACTERS = r"^[^\x00-\x1f\x7f]*$"
"""PostgreSQL stores no NUL, and no name or address has the others."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _in_rfc_3339(value: object) -> object:
    """Pydantic reads numbers and shorter texts as moments, too, which nobody who sends them means."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        return value
    msg = "RFC 3339, with a time zone"
    raise ValueError(msg)


Moment = Annotated[AwareDatetime, BeforeValidator(_in_rfc_3339)]
