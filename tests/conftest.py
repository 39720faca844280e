"""What every test begins with."""

import signal
from collections.abc import MutableSequence

import pytest
from hypothesis import settings

# how long an example takes says more about the machine than about the code
settings.register_profile("here", deadline=None)
settings.load_profile("here")

# a shell's background job ignores two of these, nohup the third, and every script that a test
# starts would inherit it
signal.signal(signal.SIGINT, signal.default_int_handler)
for name in ("SIGQUIT", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def pytest_collection_modifyitems(items: MutableSequence[pytest.Item]) -> None:
    """The sweep for secrets comes last, after everything that could have kept one."""
    items[:] = sorted(items, key=lambda item: item.path.name == "test_secret_canary.py")
