"""Makes of a version of the services the one that follows: one more column in each order's row, and code that fills it.

Run while an image is built, in its folder of packages. The migration only adds: what a release may do while the version
before it still runs.
"""

import re
from pathlib import Path

ROW = {"order_api": "orders", "payment": "payments", "inventory": "reservations", "shipping": "shipments"}
"""The table of each service that has a row for each order."""

MIGRATION = '''"""The column that the next version needs."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("{table}", sa.Column("next", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("{table}", "next")
'''
MAPPED = r"""\1
    next: str | None = Field(default="next", sa_type=Text)
"""


def expand(service: Path, table: str) -> None:
    """Add the column to the service's migrations, if they are here, and to its code."""
    if (versions := service / "migrations" / "versions").is_dir():
        before = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
        revision = f"{int(before) + 1:04}"
        (versions / f"{revision}_next.py").write_text(MIGRATION.format(revision=revision, before=before, table=table))
    models = service / "models.py"
    changed, times = re.subn(rf'(    __tablename__: ClassVar\[Any\] = "{table}"\n)', MAPPED, models.read_text())
    if times != 1:
        raise SystemExit(f"{models} does not declare the table {table} as it used to")
    models.write_text(changed)


if __name__ == "__main__":
    for name, its_table in ROW.items():
        if Path(name).is_dir():
            expand(Path(name), its_table)
