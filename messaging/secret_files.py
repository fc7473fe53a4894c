"""Passwords in files, as Docker, Kubernetes and systemd hand them to a process: never in its environment."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

FOLDER = Path(os.environ.get("SECRETS_DIR", "/run/secrets"))
"""Where this process finds its own. A file is named for the setting that it gives, in small letters."""


def folder() -> Path | None:
    """The folder, if there is one."""
    return FOLDER if FOLDER.is_dir() else None


def read(name: str, where: Path = FOLDER) -> str | None:
    """The secret in a file, without the line's end; None if there is no such file."""
    file = where / name
    return file.read_text(encoding="utf-8").rstrip("\r\n") if file.is_file() else None


def with_password(url: str, password: str | None) -> str:
    """The URL with this password for the user that it names, unless it holds one already."""
    parts = urlsplit(url)
    if password is None or not parts.username or parts.password is not None:
        return url
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.removesuffix(':')}:{quote(password, safe='')}@{place}"))
