"""The document as text: the same bytes on every run and on every Python."""

import json
from typing import Any

import yaml
from typing_extensions import override

from messaging.asyncapi.profile import Json


class _InFull(yaml.SafeDumper):
    """Says everything where it stands, instead of pointing at where it stood before."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_json(document: Json) -> str:
    """As JSON, sorted by key."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def to_yaml(document: Json) -> str:
    """As YAML, sorted by key."""
    return yaml.dump(document, Dumper=_InFull, sort_keys=True, allow_unicode=True, default_flow_style=False, width=120)
