"""Who uses this server, and who is behind a key."""

from dataclasses import dataclass
from datetime import datetime

from algohost.domain.ids import AccountId, RunId, StrategyId, UserId
from algohost.domain.orders import Book


@dataclass(frozen=True, kw_only=True)
class User:
    """A person with a login. Administrators see and act on everybody's strategies."""

    id: UserId
    name: str
    is_admin: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who is behind an API key or a run's token, and whose money it moves."""

    user: User
    account_id: AccountId
    strategy_id: StrategyId | None = None
    """Set for a run's token: its orders belong to that strategy's book."""
    run_id: RunId | None = None

    @property
    def book(self) -> Book:
        """Where orders of this principal are kept."""
        return Book(account_id=self.account_id, strategy_id=self.strategy_id)


def paper_account(user: User) -> AccountId:
    """The paper account that every user has."""
    return paper_account_of(user.id)


def paper_account_of(user_id: UserId) -> AccountId:
    """The paper account of the user with that id."""
    return AccountId(f"paper-{user_id}")
