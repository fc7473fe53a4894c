"""Makes the tree of secrets: a folder for each holder, a file for each password. Needs Python alone.

    python deploy/make_secrets.py FOLDER [--mode 400]

What is missing is made, at random; what is there stays as it is, so it may be run again at any time. No two holders
share a folder: a service can be handed its own and no other's. A password that two holders must know is in both.
"""

import argparse
import os
import secrets
import sys
from pathlib import Path

PASSWORD_BYTES = 32
SERVICES = ("order_api", "payment", "inventory", "shipping", "operations")


def shared() -> list[tuple[str, ...]]:
    """Every secret, as the files that hold it."""
    made: list[tuple[str, ...]] = [
        ("administrator/amqp_password", "rabbitmq/amqp_password"),
        ("rabbitmq/erlang_cookie",),
        ("administrator/operations_reader_password", "operations/operations_reader_password"),
    ]
    for service in SERVICES:
        database = f"{service}_database_password"
        made += [
            (f"{service}/{service}_amqp_password",),
            (f"{service}/{database}",),
            (f"administrator/{database}", f"{service}_db/database_password"),  # of its owner
        ]
    return made


def main() -> None:
    """Read the command line and make what is missing."""
    usage = argparse.ArgumentParser(description="Make the tree of secrets; what is there stays as it is.")
    usage.add_argument("folder", type=Path, help="where the tree is, or is to be")
    usage.add_argument("--mode", default="400", type=lambda text: int(text, 8), help="of the files; by default 400")
    given = usage.parse_args()
    os.umask(0o022 if given.mode & 0o044 else 0o077)
    made = sum(make([given.folder / each for each in files], given.mode) for files in shared())
    sys.stdout.write(f"secrets: {made} made, {len(shared()) - made} were there\n")


def make(files: list[Path], mode: int) -> bool:
    """Give these files one secret, unless they hold one; returns whether it is new. Ends if they differ."""
    held = {file.read_text(encoding="utf-8") for file in files if file.exists()}
    if len(held) > 1:
        raise SystemExit(f"these hold different secrets: {', '.join(map(str, files))}")
    secret = held.pop() if held else secrets.token_urlsafe(PASSWORD_BYTES)
    missing = [file for file in files if not file.exists()]
    for file in missing:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(secret)
        file.chmod(mode)
    return len(missing) == len(files)


if __name__ == "__main__":
    main()
