"""CloudFormation templates as they are once parameters are given: conditions decided, parameters filled in.

What only AWS knows (a resource's id, an attribute, the region's zones) stays as the function that asks for it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast

import yaml

from devstack.paths import CHECKOUT

FOLDER = CHECKOUT / "deploy" / "aws"
MAIN = FOLDER / "template.yaml"
SERVICE = FOLDER / "service.yaml"
ARTIFACTS = FOLDER / "artifacts.yaml"

NO_VALUE = {"Ref": "AWS::NoValue"}


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`, `!Sub x` is `{"Fn::Sub": "x"}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    match node:
        case yaml.ScalarNode():
            value: Any = loader.construct_scalar(node)
            if name == "Fn::GetAtt":
                value = value.split(".", 1)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(cast("yaml.MappingNode", node), deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _short_form)  # pyright: ignore[reportUnknownMemberType] - the stubs name no type


@dataclass(frozen=True)
class Resource:
    """One resource that would be made."""

    name: str
    """Its logical id; behind those of the stacks around it, `Payment.Database`."""
    kind: str
    """AWS::RDS::DBInstance."""
    given: Mapping[str, Any]
    """Its properties."""
    around: Mapping[str, Any]
    """The rest: DeletionPolicy, DependsOn, UpdatePolicy and so on."""


@cache
def load(path: Path) -> dict[str, Any]:
    """A template as it is written, YAML or JSON. Who changes it changes a copy."""
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


class Template:
    """A template with values for its parameters; those that are not given have their defaults, or None.

    Values may be given for AWS's own, too: `AWS::StackName`, `AWS::Region`.
    """

    def __init__(
        self, path: Path, values: Mapping[str, Any] | None = None, written: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.written = written if written is not None else load(path)
        given = values or {}
        self.pseudo = {name: value for name, value in given.items() if name.startswith("AWS::")}
        self.values: dict[str, Any] = {
            name: given.get(name, declared.get("Default")) for name, declared in self.parameters.items()
        }

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """What is declared of each parameter."""
        return self.written.get("Parameters", {})

    @cached_property
    def resources(self) -> list[Resource]:
        """Those that would be made, without those of nested stacks."""
        return [
            Resource(name, each["Type"], self.resolved(each.get("Properties", {})), each)
            for name, each in self.written["Resources"].items()
            if self.holds(each.get("Condition"))
        ]

    def everything(self, prefix: str = "") -> Iterator[Resource]:
        """All that would be made, with what is in nested stacks, which are files beside the template."""
        for each in self.resources:
            yield Resource(prefix + each.name, each.kind, each.given, each.around)
            if each.kind == "AWS::CloudFormation::Stack":
                nested = (self.path.parent / each.given["TemplateURL"]).resolve()
                values = {**self.pseudo, **each.given.get("Parameters", {})}
                yield from Template(nested, values).everything(f"{prefix}{each.name}.")

    def holds(self, condition: str | None) -> bool:
        """Whether a condition is true."""
        return condition is None or bool(self.resolved(self.written["Conditions"][condition]))

    def resolved(self, value: Any) -> Any:  # noqa: PLR0911 - a case for each function of CloudFormation's
        """The value with everything decided that can be decided here."""
        match value:
            case {"Ref": str(name)} if self._known.get(name) is not None:
                return self._known[name]
            case {"Condition": str(name)}:
                return self.holds(name)
            case {"Fn::If": [str(name), yes, no]}:
                return self.resolved(yes if self.holds(name) else no)
            case {"Fn::Equals": [left, right]}:
                return str(self.resolved(left)) == str(self.resolved(right))
            case {"Fn::Not": [each]}:
                return not self.resolved(each)
            case {"Fn::Select": [number, {"Fn::Cidr": [block, count, bits]}]}:
                return _subnet(self.resolved(block), int(number), int(count), int(bits))
            case {"Fn::Sub": text}:
                return self._substituted(text)
            case dict():
                resolved = {key: self.resolved(each) for key, each in cast("dict[str, Any]", value).items()}
                return {key: each for key, each in resolved.items() if each != NO_VALUE}
            case list():
                return [self.resolved(each) for each in cast("list[Any]", value)]
            case _:
                return value

    def _substituted(self, written: Any) -> Any:
        """Fn::Sub with the parameters' values in it; `${...}` that only AWS knows stays as it is."""
        text: str = written if isinstance(written, str) else written[0]
        names: dict[str, Any] = {} if isinstance(written, str) else self.resolved(written[1])
        known = {**self._known, **names}

        def value(found: re.Match[str]) -> str:
            given = known.get(found[1])
            return str(given) if isinstance(given, str | int) else found[0]

        return re.sub(r"\$\{([\w:]+)\}", value, text)

    @property
    def _known(self) -> Mapping[str, Any]:
        return {**self.pseudo, **self.values}

    def refused(self) -> Iterator[tuple[str, str]]:
        """Parameters without a value, or with one that their declaration does not allow: name and what is wrong."""
        for name, declared in self.parameters.items():
            value = self.values[name]
            text = "" if value is None else str(value)
            hint = declared.get("ConstraintDescription", declared.get("Description", ""))
            if value is None:
                yield name, f"is not given: {hint}"
            elif "AllowedValues" in declared and text not in map(str, declared["AllowedValues"]):
                yield name, f"{text!r} is none of {', '.join(map(str, declared['AllowedValues']))}"
            elif "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], text):
                yield name, f"{text!r} is not {hint}"
            elif declared["Type"] == "Number" and not _within(text, declared):
                yield (
                    name,
                    f"{text!r} is no number from {declared.get('MinValue', 0)} to {declared.get('MaxValue', 'any')}",
                )


def _within(text: str, declared: Mapping[str, Any]) -> bool:
    if not text.isdecimal():
        return False
    return int(declared.get("MinValue", 0)) <= int(text) <= int(declared.get("MaxValue", text))


def _subnet(block: str, number: int, count: int, bits: int) -> str:
    """Fn::Cidr: `count` subnets one after the other, with `bits` of address each."""
    network = ipaddress.ip_network(block)
    subnets = network.subnets(new_prefix=network.max_prefixlen - bits)
    return str([next(subnets) for _ in range(count)][number])
