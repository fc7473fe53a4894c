"""What identifies a person: how contracts mark it, and how it stays out of sight."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.fields import FieldInfo

MARK = "x-personal-data"
PERSONAL: dict[str, JsonValue] = {MARK: True}
"""Marks a field that identifies a person: `Field(json_schema_extra=PERSONAL)`. Masked in logs, erased on request."""


def is_personal(field: FieldInfo) -> bool:
    """Whether a field is marked."""
    extra = field.json_schema_extra
    return extra is not None and not callable(extra) and extra.get(MARK) is True


class Discreet(BaseModel):
    """A model whose text tells no marked field, and whose errors do not repeat what they were given."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        fields = type(self).model_fields
        return [
            (name, value)
            for name, value in super().__repr_args__()
            if name not in fields or not is_personal(fields[name])
        ]
