"""The document as one page of HTML and one picture: readable without scripts, without anything from elsewhere.

What they say is in templates/, how it is gathered in `reference`, how the picture is laid out in `picture`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from messaging.asyncapi.picture import WIDTH, picture
from messaging.asyncapi.policy import policy
from messaging.asyncapi.profile import Json
from messaging.asyncapi.reading import DOCUMENT
from messaging.asyncapi.reference import Reference, anchor, in_words

PAGE = DOCUMENT.with_name("index.html")
"""Where the committed page is, from the root of the checkout or image."""
PICTURE = DOCUMENT.with_name("topology.svg")

_TEMPLATES = Path(__file__).parent / "templates"
_CODE = re.compile(r"`([^`]+)`")
_BREAKS = re.compile(r"(?<=[._])(?=\w)")
_PARAGRAPHS = re.compile(r"\n\s*\n")


def to_html(document: Mapping[str, Any]) -> str:
    """The page."""
    reference = Reference(document)
    made = _environment(reference)
    style = Markup(_text("page.css") + _text("topology.css"))  # noqa: S704 - our own files
    script = Markup(_text("search.js"))  # noqa: S704 - our own file
    html = made.get_template("page.html").render(
        info=document["info"],
        servers=document["servers"],
        security=document["components"]["securitySchemes"],
        reference=reference,
        style=style,
        script=script,
        policy=policy([style], [script]),
        topology=Markup(_svg(made, reference, page="", standalone=False)),  # noqa: S704 - escaped by its template
    )
    return html.strip() + "\n"


def to_svg(document: Mapping[str, Any]) -> str:
    """The picture alone; its boxes lead to the page beside it."""
    reference = Reference(document)
    return _svg(_environment(reference), reference, page=PAGE.name, standalone=True) + "\n"


def _svg(made: Environment, reference: Reference, *, page: str, standalone: bool) -> str:
    return made.get_template("topology.svg").render(
        picture=picture(reference),
        width=WIDTH,
        page=page,
        standalone=standalone,
        style=Markup(_text("topology.css")),  # noqa: S704 - our own file
        title=f"{reference.document['info']['title']}: the topology",
        description="Events go from their producers through one exchange into work queues, by consumer. A message that "
        "fails for a passing reason waits in a retry tier and returns; one that no retry helps is a dead letter.",
    )


def _environment(reference: Reference) -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters: dict[str, Callable[[str], Markup]] = {
        "prose": lambda text: _prose(text, reference),
        "code": lambda text: _code(text, reference),
        "breakable": _breakable,
    }
    made.filters |= filters
    given: Json = {"anchor": anchor, "in_words": in_words, "number": "{:g}".format}
    made.globals |= given
    return made


def _prose(text: str, reference: Reference) -> Markup:
    """Paragraphs, in which `code` is code and leads to what it names."""
    return Markup("").join(
        Markup("<p>{}</p>").format(_code(paragraph, reference)) for paragraph in _PARAGRAPHS.split(text) if paragraph
    )


def _code(text: str, reference: Reference) -> Markup:
    """One line of the same."""
    pieces = _CODE.split(text)  # text, code, text, code, ... text
    return Markup("").join(
        _linked(piece, reference) if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )


def _linked(name: str, reference: Reference) -> Markup:
    code = Markup("<code>{}</code>").format(_breakable(name))
    target = reference.anchors.get(name)
    return Markup('<a href="#{}">{}</a>').format(target, code) if target else code


def _breakable(name: str) -> Markup:
    """A long name, which a narrow column breaks between its words only."""
    return Markup("<wbr>").join(_BREAKS.split(name))


def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
