"""Limits, and the daily losses that were reached."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from algohost.domain.errors import Unavailable
from algohost.domain.kill_switch import KillScope
from algohost.domain.orders import Product
from algohost.domain.risk import LimitsOf, LimitTarget, LossReached, RiskLimits
from algohost.store.trading_tables import risk_limits, risk_losses


def everything(connection: Connection) -> Sequence[LimitsOf]:
    """The limits of every target that has any.

    Raises ``Unavailable`` where a row cannot be read: no limit is left out silently.
    """
    return [_limits_of(row) for row in connection.execute(select(risk_limits)).mappings()]


def put(connection: Connection, limits: LimitsOf) -> None:
    """Keeps limits instead of the target's former ones."""
    remove(connection, limits.target)
    connection.execute(
        risk_limits.insert().values(
            scope=limits.target.scope.value,
            target=limits.target.id,
            limits=to_json(limits.limits),
            at=limits.at,
            by=limits.by[:80],
        )
    )


def remove(connection: Connection, target: LimitTarget) -> None:
    """Forgets a target's limits."""
    c = risk_limits.c
    connection.execute(
        risk_limits.delete().where(c.scope == target.scope.value, c.target == target.id)
    )


def losses(connection: Connection) -> Sequence[LossReached]:
    """The newest loss that each target reached. Raises ``Unavailable`` as ``everything``."""
    return [_loss(row) for row in connection.execute(select(risk_losses)).mappings()]


def put_loss(connection: Connection, loss: LossReached) -> None:
    """Keeps a loss instead of the target's former one."""
    remove_loss(connection, loss.target)
    connection.execute(
        risk_losses.insert().values(
            scope=loss.target.scope.value,
            target=loss.target.id,
            day=loss.day.isoformat(),
            at=loss.at,
            lost=str(loss.lost),
        )
    )


def remove_loss(connection: Connection, target: LimitTarget) -> None:
    """Forgets that a loss was reached."""
    c = risk_losses.c
    connection.execute(
        risk_losses.delete().where(c.scope == target.scope.value, c.target == target.id)
    )


def to_json(limits: RiskLimits) -> dict[str, Any]:
    """The limits that are set, as JSON values; money as text."""
    values: dict[str, Any] = {}
    for name, value in vars(limits).items():
        if isinstance(value, Decimal):
            values[name] = str(value)
        elif isinstance(value, tuple):
            values[name] = [str(one) for one in value]
        else:
            values[name] = value
    return {name: value for name, value in values.items() if value not in (None, [], False)}


def _from_json(values: Mapping[str, Any]) -> RiskLimits:
    known = dict(values)
    for name in ("most_value", "most_daily_loss", "price_band_percent"):
        if name in known:
            known[name] = Decimal(known[name])
    known["symbols"] = tuple(known.get("symbols", ()))
    known["products"] = tuple(Product(one) for one in known.get("products", ()))
    return RiskLimits(**known)


def _limits_of(row: RowMapping) -> LimitsOf:
    try:
        target = LimitTarget(scope=KillScope(row["scope"]), id=row["target"])
        limits = _from_json(row["limits"])
    except (ValueError, TypeError, InvalidOperation) as error:
        raise _unreadable(f"risk limits of {row['scope']} {row['target']}", error) from error
    return LimitsOf(target=target, limits=limits, by=row["by"], at=row["at"])


def _loss(row: RowMapping) -> LossReached:
    try:
        return LossReached(
            target=LimitTarget(scope=KillScope(row["scope"]), id=row["target"]),
            day=date.fromisoformat(row["day"]),
            at=row["at"],
            lost=Decimal(row["lost"]),
        )
    except (ValueError, InvalidOperation) as error:
        raise _unreadable(f"daily loss of {row['scope']} {row['target']}", error) from error


def _unreadable(what: str, error: Exception) -> Unavailable:
    return Unavailable(
        f"The {what} in the database cannot be read ({error!r}); a newer algohost may have written"
        " it. Start that one, or restore a backup.",
        code="DATABASE_DAMAGED",
    )
