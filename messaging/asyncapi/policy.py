"""The content security policy of a page: what stands in it by its hash, and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """Nothing is allowed but these style sheets and scripts, by their hashes."""
    return (
        f"default-src 'none'; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def policy_of(page: str) -> str:
    """The policy for a finished page, as a header: nobody may frame it either."""
    return f"{policy(_STYLE.findall(page), _SCRIPT.findall(page))}; frame-ancestors 'none'"


def policy_of_viewer(page: str, *, evaluates: bool = False) -> str:
    """The policy for a page that loads a bundle, style and document from its own host, and nothing from elsewhere.

    `evaluates`: the bundle makes code at run time.
    """
    eval_too = "'unsafe-eval' " if evaluates else ""
    return (
        f"default-src 'none'; style-src 'self' {_hashes(_STYLE.findall(page))}; "
        f"script-src 'self' {eval_too}{_hashes(_SCRIPT.findall(page))}; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    return " ".join(f"'sha256-{_hash(text)}'" for text in texts) or "'none'"


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
