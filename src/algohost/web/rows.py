"""A strategy as pages, the live socket and ``GET /python/status`` show it."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from algohost.broker.views import Scope
from algohost.domain.errors import Unavailable
from algohost.domain.ids import AccountId, StrategyId, UserId
from algohost.domain.restarts import Again
from algohost.domain.strategies import Gate, Phase
from algohost.domain.users import User
from algohost.host.views import StrategyView
from algohost.web.schedule_words import short, standing

if TYPE_CHECKING:
    from algohost.broker.gateway import Gateway
    from algohost.web.services import Host

_FIGURES_SECONDS: Final = 1.0
"""P&L moves with every price; a cached status is at most this old."""


def row(view: StrategyView, host: "Host") -> dict[str, Any]:
    """One strategy in JSON values: instants in UTC, money in rupees as text, ``None`` for none."""
    return rows([view], host)[0]


def rows(views: Iterable[StrategyView], host: "Host") -> list[dict[str, Any]]:
    """As ``row``, for many: the books of an account are looked through once."""
    shown = list(views)
    only = shown[0].strategy.id if len(shown) == 1 else None
    ledgers: dict[AccountId, _Ledger] = {}
    made = []
    for view in shown:
        owner = host.identity.user(view.strategy.owner_id)
        account = view.strategy.account
        if account not in ledgers:
            ledgers[account] = _ledger(account, host, only)
        made.append(_row(view, owner, ledgers[account]))
    return made


def _row(view: StrategyView, owner: User, ledger: "_Ledger") -> dict[str, Any]:
    strategy, run, problem = view.strategy, view.latest, view.strategy.problem
    live = run if run is not None and run.is_live else None
    return {
        "id": strategy.id,
        "name": strategy.name,
        "owner": owner.name,
        "file_name": strategy.file_name,
        "exchange": strategy.exchange,
        "mode": strategy.mode.value,
        "account_id": strategy.account,
        "phase": view.phase.value,
        "sentence": standing(view),
        "flags": [{"kind": one.ailment.value, "sentence": one.sentence} for one in view.flags],
        "gates": [gate_json(one) for one in view.gates],
        "restart": _restart(view),
        "schedule": short(strategy.schedule),
        "next_start": _iso(view.next_start),
        "last_start": _last_start(view),
        "since": _iso(view.since),
        "run_id": live.id if live else None,
        "pid": live.process.pid if live and live.process else None,
        "outcome": str(run.outcome) if run is not None and run.outcome else None,
        "pnl": ledger.pnl(strategy.id),
        "order_count": ledger.order_count(strategy.id),
        "problem": None
        if problem is None
        else {
            "line": problem.line,
            "column": problem.column,
            "message": problem.message,
            "file": problem.file,
        },
    }


def gate_json(gate: Gate) -> dict[str, Any]:
    """A closed gate: its code and sentence, when it opens by itself, what a page can offer."""
    return {
        "code": gate.code,
        "sentence": gate.sentence,
        "until": _iso(gate.until),
        "action": None if gate.action is None else gate.action.value,
    }


def _restart(view: StrategyView) -> dict[str, Any] | None:
    """The restart that is waited for: which it is, when, and after what."""
    again = view.restart
    if view.phase is not Phase.BACKING_OFF or not isinstance(again, Again):
        return None
    return {
        "attempt": again.attempt,
        "most": again.most,
        "next_at": _iso(view.next_at),
        "after": view.last_end,
    }


def _last_start(view: StrategyView) -> dict[str, Any] | None:
    """What became of the newest start that was expected."""
    last = view.occurrence
    if last is None:
        return None
    return {"state": last.state.value, "at": _iso(last.start_at), "sentence": last.sentence}


class _Ledger:
    """What the books of one account, or one of them, say about each strategy today."""

    def __init__(self, gateway: "Gateway", scope: Scope) -> None:
        self._orders = Counter(order.book.strategy_id for order in gateway.orders(scope))
        self._gained = gateway.day_pnls(scope)

    def order_count(self, strategy_id: StrategyId) -> int | None:
        return self._orders[strategy_id]

    def pnl(self, strategy_id: StrategyId) -> str | None:
        gained = self._gained.get(strategy_id)
        return None if gained is None else f"{gained.total:.2f}"


class _Shut(_Ledger):
    """The account cannot be read now: what is unknown is shown as unknown, never as zero."""

    def __init__(self) -> None:
        pass

    def order_count(self, strategy_id: StrategyId) -> None:  # noqa: ARG002
        return None

    def pnl(self, strategy_id: StrategyId) -> None:  # noqa: ARG002
        return None


def _ledger(account_id: AccountId, host: "Host", only: StrategyId | None) -> _Ledger:
    scope = Scope(account_id=account_id, strategy_id=only)
    try:
        return _Ledger(host.gateway, scope)
    except Unavailable:
        return _Shut()


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds")


@dataclass(slots=True)
class Status:
    """The answer of ``GET /python/status`` for one user, ready to send."""

    body: bytes
    good_until: float
    """By the monotonic clock; infinite where only a change can make it stale."""
    _packed: bytes = field(default=b"")

    @property
    def packed(self) -> bytes:
        """``body`` with gzip."""
        if not self._packed:
            self._packed = gzip.compress(self.body, compresslevel=4, mtime=0)
        return self._packed


class StatusBoard:
    """The status of each user's strategies as bytes, made again only when something changed."""

    def __init__(self, host: "Host") -> None:
        self._host = host
        self._made: dict[UserId, Status] = {}
        self._unlisten: list[Callable[[], None]] = [
            host.strategies.listen(self._forget),
            host.strategies.listen_removed(self._forget),
            host.gateway.listen(self._forget),
        ]

    def close(self) -> None:
        """Listens no longer."""
        for unlisten in self._unlisten:
            unlisten()
        self._unlisten.clear()

    def status(self, user: User) -> Status:
        """What ``user`` may see; an administrator sees everybody's."""
        made = self._made.get(user.id)
        if made is None or self._host.clock.monotonic() >= made.good_until:
            made = self._made[user.id] = self._make(user)
        return made

    def _make(self, user: User) -> Status:
        shown = rows(self._host.strategies.list(user), self._host)
        counts = Counter(one["phase"] for one in shown)
        body = orjson.dumps(
            {
                "success": True,
                "strategies": shown,
                "counts": {phase.value: counts[phase.value] for phase in Phase},
            }
        )
        moves = any(one["pnl"] is not None for one in shown)
        now = self._host.clock.monotonic()
        return Status(body=body, good_until=now + _FIGURES_SECONDS if moves else float("inf"))

    def _forget(self, *_changed: object) -> None:
        self._made.clear()
