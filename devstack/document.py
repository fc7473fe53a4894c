"""`python -m devstack.document`: the one module, tests apart, that imports every service.

It runs in a process of its own, as does `devstack.contracts`, so that no other command of `./run` pays for these
imports or breaks with a service.
"""

from importlib import import_module
from pathlib import Path

from devstack import life_cycle, services
from devstack.paths import CHECKOUT
from messaging.asyncapi.generate import generate
from messaging.asyncapi.page import PAGE, PICTURE, to_html, to_svg
from messaging.asyncapi.reading import DOCUMENT
from messaging.asyncapi.render import to_json, to_yaml
from messaging.service import Service

SERVICES: tuple[Service, ...] = tuple(import_module(f"{name}.app").service for name in services.SERVICES)


def documents() -> dict[Path, str]:
    """Return the document in its two notations, by paths in the checkout, as the code says they are."""
    document = generate(SERVICES)
    return {DOCUMENT: to_json(document), DOCUMENT.with_suffix(".yaml"): to_yaml(document)}


def published() -> dict[Path, str]:
    """Return all published files: the document, the page and the picture that show it, and the state tables drawn."""
    document = generate(SERVICES)
    pages = {PAGE: to_html(document), PICTURE: to_svg(document), life_cycle.PAGE: life_cycle.page()}
    return {**documents(), **pages}


def write_documents() -> None:
    """Write the published files anew."""
    for path, text in published().items():
        file = CHECKOUT / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    write_documents()
