"""Variables and secrets of strategies in the database; of a secret only its sealed form."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, LargeBinary, bindparam, cast, func, select

from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import StrategyId
from algohost.domain.variables import MOST_BYTES_TOGETHER, MOST_VARIABLES, Variable
from algohost.store.tables import strategies, variables

_OF_A_LAUNCH: Final = select(variables.c.name, variables.c.value, variables.c.sealed).where(
    variables.c.strategy_id == bindparam("strategy_id")
)


@dataclass(frozen=True, kw_only=True)
class StoredValues:
    """All that one strategy's script is to find: values by name, tokens by name."""

    plain: dict[str, str]
    sealed: dict[str, bytes]


def of_strategy(connection: Connection, strategy_id: StrategyId) -> Sequence[Variable]:
    """What the strategy has, by name; no secret's value is read."""
    c = variables.c
    rows = connection.execute(
        select(c.name, c.value, c.changed_at).where(c.strategy_id == strategy_id).order_by(c.name)
    )
    return [Variable(name=r.name, value=r.value, changed_at=r.changed_at) for r in rows]


def values_of(connection: Connection, strategy_id: StrategyId) -> StoredValues:
    """What a launch takes."""
    rows = connection.execute(_OF_A_LAUNCH, {"strategy_id": strategy_id}).all()
    return StoredValues(
        plain={r.name: r.value for r in rows if r.sealed is None},
        sealed={r.name: bytes(r.sealed) for r in rows if r.sealed is not None},
    )


def put(
    connection: Connection,
    strategy_id: StrategyId,
    variable: Variable,
    *,
    sealed: bytes | None = None,
) -> None:
    """Keeps a variable, or a secret in its sealed form, in the place of the earlier one.

    Raises ``NotFound`` for a strategy that was deleted meanwhile, ``Conflict`` where the name is
    one of the other kind, ``Invalid`` where there are too many, or too much of them.
    """
    c = variables.c
    alive = select(strategies.c.id).where(
        strategies.c.id == strategy_id, strategies.c.deleted_at.is_(None)
    )
    if connection.execute(alive).first() is None:
        raise NotFound("The strategy was deleted meanwhile.", code="NO_STRATEGY")
    others = connection.execute(
        select(c.name, func.length(cast(c.value, LargeBinary)), func.length(c.sealed)).where(
            c.strategy_id == strategy_id
        )
    ).all()
    earlier = next((row for row in others if row[0] == variable.name), None)
    if earlier is not None and (earlier[2] is not None) is not variable.is_secret:
        raise _other_kind(variable)
    rest = [row for row in others if row[0] != variable.name]
    _refuse_too_much(variable, sealed, rest)
    connection.execute(
        variables.delete().where(c.strategy_id == strategy_id, c.name == variable.name)
    )
    connection.execute(
        variables.insert().values(
            strategy_id=strategy_id,
            name=variable.name,
            value=variable.value,
            sealed=sealed,
            changed_at=variable.changed_at,
        )
    )


def remove(connection: Connection, strategy_id: StrategyId, name: str, *, is_secret: bool) -> None:
    """Forgets one. Raises ``NotFound`` where there is none of that kind."""
    c = variables.c
    kind = c.sealed.is_not(None) if is_secret else c.sealed.is_(None)
    done = connection.execute(
        variables.delete().where(c.strategy_id == strategy_id, c.name == name, kind)
    )
    if done.rowcount == 0:
        what = "secret" if is_secret else "variable"
        raise NotFound(
            f"The strategy has no {what} of that name; it may have been removed already.",
            code=f"NO_{what.upper()}",
        )


def remove_all(connection: Connection, strategy_id: StrategyId) -> None:
    """Forgets everything that a strategy has."""
    connection.execute(variables.delete().where(variables.c.strategy_id == strategy_id))


def any_sealed(connection: Connection) -> bool:
    """Whether there is a secret at all."""
    found = select(variables.c.name).where(variables.c.sealed.is_not(None)).limit(1)
    return connection.execute(found).first() is not None


def reseal(connection: Connection, renew: Callable[[StrategyId, str, bytes], bytes]) -> int:
    """Puts ``renew``'s answer in the place of every sealed value; returns how many."""
    c = variables.c
    rows = connection.execute(
        select(c.strategy_id, c.name, c.sealed).where(c.sealed.is_not(None))
    ).all()
    for row in rows:
        token = renew(StrategyId(row.strategy_id), row.name, bytes(row.sealed))
        connection.execute(
            variables.update()
            .where(c.strategy_id == row.strategy_id, c.name == row.name)
            .values(sealed=token)
        )
    return len(rows)


def _other_kind(variable: Variable) -> Conflict:
    if variable.is_secret:
        said = f"{variable.name} is a plain variable, whose value was shown; remove it first"
    else:
        said = f"{variable.name} is a secret; remove it first"
    return Conflict(
        f"{said}, or choose another name.", code="OTHER_KIND", details={"field": "name"}
    )


def _refuse_too_much(
    variable: Variable, sealed: bytes | None, rest: Sequence[tuple[str, int | None, int | None]]
) -> None:
    if len(rest) >= MOST_VARIABLES:
        raise Invalid(
            f"A strategy has at most {MOST_VARIABLES} variables and secrets; remove one first.",
            code="TOO_MANY_VARIABLES",
            details={"field": "name"},
        )
    held = sum((plain or 0) + (token or 0) * 3 // 4 for _, plain, token in rest)
    new = len((variable.value or "").encode()) + len(sealed or b"") * 3 // 4
    if held + new > MOST_BYTES_TOGETHER:
        raise Invalid(
            f"All values of a strategy together may have {MOST_BYTES_TOGETHER:,} bytes, and"
            f" {held:,} are taken; put what is long into a file of the strategy.",
            code="TOO_MUCH",
            details={"field": "value"},
        )
