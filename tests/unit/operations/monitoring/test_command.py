"""`./run alarms`."""

from pathlib import Path

import pytest
import typer

import devstack.alarms
from devstack.alarms import alarms
from devstack.paths import CHECKOUT
from operations.monitoring.generated import files


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the document and the pages alone."""
    document = tmp_path / "asyncapi/asyncapi.json"
    document.parent.mkdir()
    document.write_text((CHECKOUT / "asyncapi/asyncapi.json").read_text())
    for path in files(CHECKOUT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((CHECKOUT / path).read_text())
    monkeypatch.setattr(devstack.alarms, "CHECKOUT", tmp_path)
    return tmp_path


def test_check_says_what_is_not_up_to_date_and_write_mends_it(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1 and the file's name until it is written anew; nothing is written by a check."""
    rules = copy / "deploy/monitoring/prometheus-rules.yml"
    rules.write_text("changed")
    with pytest.raises(typer.Exit) as ended:
        alarms(check=True)
    assert ended.value.exit_code == 1
    assert "not up to date: deploy/monitoring/prometheus-rules.yml" in capsys.readouterr().out
    assert rules.read_text() == "changed"
    alarms(check=False)
    alarms(check=True)
    assert "are as the document says" in capsys.readouterr().out


def test_a_page_that_is_missing_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error that names it, and no traceback."""
    (copy / "docs/runbooks/queue-old.md").unlink()
    with pytest.raises(typer.Exit) as ended:
        alarms(check=True)
    assert ended.value.exit_code == 1
    assert "docs/runbooks/queue-old.md" in capsys.readouterr().err
