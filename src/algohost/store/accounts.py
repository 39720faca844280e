"""Accounts in the database; of an API key only its sealed form."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, RowMapping, func, select

from algohost.domain.accounts import Account
from algohost.domain.errors import NotFound
from algohost.domain.ids import AccountId, StrategyId, UserId
from algohost.store.trading_tables import accounts

KEY_NAME: Final = "api_key"
"""Under which name an account's key is sealed."""


def seal_name(account_id: AccountId) -> StrategyId:
    """Whose secret an account's key is, as the vault binds it: no strategy has such an id."""
    return StrategyId(f"account:{account_id}")


def all_accounts(connection: Connection) -> Sequence[Account]:
    """Every account that was added or renamed and is not removed, oldest first."""
    chosen = select(accounts).where(accounts.c.removed_at.is_(None))
    rows = connection.execute(chosen.order_by(accounts.c.created_at, accounts.c.id)).mappings()
    return [_account(row) for row in rows]


def put(connection: Connection, account: Account, *, created_at: datetime) -> None:
    """Keeps an account, new or changed; its sealed key stays as it is."""
    values = {
        "owner_id": account.owner_id,
        "name": account.name,
        "broker": account.broker,
        "base_url": account.base_url,
        "feed_url": account.feed_url,
        "disabled_at": account.disabled_at,
    }
    known = accounts.c.id == account.id
    if connection.execute(accounts.update().where(known).values(**values)).rowcount == 0:
        row = {"id": account.id, "created_at": created_at, **values}
        connection.execute(accounts.insert().values(**row))


def put_key(connection: Connection, account_id: AccountId, sealed: bytes) -> None:
    """Keeps an account's API key in its sealed form, in the place of the earlier one."""
    connection.execute(accounts.update().where(accounts.c.id == account_id).values(sealed=sealed))


def sealed_key(connection: Connection, account_id: AccountId) -> bytes:
    """The sealed API key of an account. Raises ``NotFound`` where it has none."""
    found = connection.execute(
        select(accounts.c.sealed).where(accounts.c.id == account_id)
    ).scalar()
    if found is None:
        raise NotFound("The account has no API key; give it one.", code="NO_API_KEY")
    return bytes(found)


def mark_removed(connection: Connection, account_id: AccountId, *, at: datetime) -> None:
    """Takes an account out of every list and forgets its key; its orders stay on record."""
    connection.execute(
        accounts.update().where(accounts.c.id == account_id).values(removed_at=at, sealed=None)
    )


def any_sealed(connection: Connection) -> bool:
    """Whether there is an API key at all."""
    found = select(accounts.c.id).where(accounts.c.sealed.is_not(None)).limit(1)
    return connection.execute(found).first() is not None


def count_of(connection: Connection, owner_id: UserId) -> int:
    """How many accounts a user has that are kept here and not removed."""
    chosen = select(func.count()).where(
        accounts.c.owner_id == owner_id, accounts.c.removed_at.is_(None)
    )
    return int(connection.execute(chosen).scalar_one())


def reseal(connection: Connection, renew: Callable[[AccountId, bytes], bytes]) -> int:
    """Puts ``renew``'s answer in the place of every sealed key; returns how many."""
    chosen = select(accounts.c.id, accounts.c.sealed).where(accounts.c.sealed.is_not(None))
    rows = connection.execute(chosen).all()
    for row in rows:
        put_key(connection, AccountId(row.id), renew(AccountId(row.id), bytes(row.sealed)))
    return len(rows)


def _account(row: RowMapping) -> Account:
    return Account(
        id=AccountId(row["id"]),
        owner_id=UserId(row["owner_id"]),
        name=row["name"],
        broker=row["broker"],
        created_at=row["created_at"],
        base_url=row["base_url"],
        feed_url=row["feed_url"],
        disabled_at=row["disabled_at"],
    )
