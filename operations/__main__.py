"""`python -m operations`: dead letters and the audit at a terminal; API keys, in OPERATIONS_DATABASE_URL's database."""

import typer

from operations.cli import dlq
from operations.cli.audit import audit
from operations.settings import Settings
from rest.key_commands import key_commands

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(dlq.app, name="dlq")
app.command()(audit)
app.add_typer(key_commands(lambda: Settings().database_url, "operations"), name="keys")


@app.callback()
def main() -> None:
    """Look after the control room."""


if __name__ == "__main__":
    app(prog_name="python -m operations")
