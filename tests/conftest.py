"""What every test begins with."""

import signal
from collections.abc import MutableSequence

import pytest
from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("here", deadline=None)
settings.load_profile("here")

if hasattr(signal, "SIGHUP"):
    # under nohup it is ignored, and every script that a test starts would inherit that
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: MutableSequence[pytest.Item]) -> None:
    """The sweep for secrets comes last, after everything that could have kept one."""
    items[:] = sorted(items, key=lambda item: item.path.name == "test_secret_canary.py")
