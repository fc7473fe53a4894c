"""Where a browser comes from, and what happens where none can be had."""

import pytest

from devstack.errors import StackError
from devstack.servers import debian_packages
from tests.browser import chromium
from tests.browser.needs import skip_unless_ci


def test_what_cannot_be_had_is_skipped_but_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is said in both cases."""
    failure = StackError("no network")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Chromium: no network"):
        skip_unless_ci("Chromium", failure)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(StackError, match="no network"):
        skip_unless_ci("Chromium", failure)


def test_without_chromium_and_debian_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the machine's nor a private one."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(debian_packages, "available", lambda: False)
    with pytest.raises(StackError, match="no Chromium"):
        chromium.find_chromium()
