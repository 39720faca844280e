"""What a spare child does before anybody needs it, so that its launch has less to do.

Most of the time from a launch to the script's first line went into pages of memory: the first
time that a fork writes to one, the kernel copies it, some four microseconds each, seven hundred
times. So the spare takes the steps of a start once, with a run that there is not. Nothing of it
lasts but what every run does anyway, and nothing is learnt that may be otherwise at the launch:
whatever is read here is read again there.
"""

import gc
import locale
import os
import sys
from contextlib import suppress
from typing import Final

from algohost.runner import (
    child,
    client,
    confine,
    plain_stream,
    records,
    script,
    standing,
    whereabouts,
)
from algohost.runner.bounds import Confinement, Enforced, Limits
from algohost.runner.journal import Journal
from algohost.runner.mask import mask_of
from algohost.runner.messages import LaunchSpec
from algohost.runner.request import Request, ready, ready_fact
from algohost.runner.system import system

_VARIABLES: Final = 24
"""More than a run has of its own."""
_TOKEN: Final = "Zk" + "rehearsed" * 5
_NOWHERE: Final = "/nowhere/exits/rehearsal"
_HELD: Final = tuple(Enforced(name="files", is_on=True, how="Landlock ABI 7.") for _ in range(9))


def rehearse() -> None:
    """Makes the process ready for any launch. It is a fork, alone, and no launch's yet."""
    child.name_process("spare")
    with suppress(Exception):  # what fails here is tried, and told, at the launch
        _take_the_steps()
    gc.collect()


def _take_the_steps() -> None:
    system.lead_session()
    system.reset_signals()  # they are blocked, and stay so
    _rehearse_interpreter()
    wanted = Request.from_bytes(_request())
    standing.rehearse()
    whereabouts.rehearse()
    Journal(records.journal_path(wanted.record)).rehearse(ready_fact("rehearsal", _HELD))
    ready(_HELD, is_written=True)
    confine.rehearse(child.places_of(wanted, sys.path))


def _request() -> bytes:
    spec = LaunchSpec(
        run_id="rehearsal",
        script="/nowhere/script.py",
        cwd="/nowhere",
        log_path="/nowhere/log",
        env={f"REHEARSAL_{number}": _NOWHERE for number in range(_VARIABLES)},
        accelerate=("127.0.0.1:9",),
        confinement=Confinement(ports=(9,)),
        limits=Limits(memory_bytes=1, threads=1, open_files=1, disk_bytes=1, log_bytes=1),
    )
    return Request(spec=spec, mark=1, record=_NOWHERE).to_bytes()


def _rehearse_interpreter() -> None:
    child.clear_environment()
    for number in range(_VARIABLES):
        os.environ[f"REHEARSAL_{number}"] = _NOWHERE
    os.environ["TZ"] = "Asia/Kolkata"
    system.renew_time_zone()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    child.clear_environment()
    system.renew_time_zone()  # none is kept: the launch reads its own anew
    mask = mask_of([_TOKEN])
    if mask is not None:
        mask.may_hold(b"rehearsal\n")
    plain_stream.empty_input()
    plain_stream.plain_streams()
    child.renew_modules()
    client.rehearse(frozenset({"127.0.0.1:9"}))
    script.rehearse()
