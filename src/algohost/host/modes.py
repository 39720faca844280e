"""Where a strategy's orders go: its account, and with it paper or live.

To go live takes the strategy's name, typed; a button alone does not. Nothing is changed while it
runs: a run's token is bound to account and mode from its start.
"""

import logging
from dataclasses import replace

from sqlalchemy import Connection

from algohost.domain.accounts import Account, mode_of
from algohost.domain.errors import Conflict, Invalid
from algohost.domain.ports import Clock
from algohost.domain.strategies import Mode
from algohost.domain.users import User, paper_account_of
from algohost.host.accounts import ACCOUNT_DISABLED, Accounts
from algohost.host.refusals import refuse_while_running
from algohost.host.registry import Registry
from algohost.host.strategies import StrategyService
from algohost.host.views import StrategyView
from algohost.store import audit
from algohost.store import strategies as stored
from algohost.store.database import Database

log = logging.getLogger(__name__)

NOT_CONFIRMED = "NOT_CONFIRMED"


class Modes:
    """The commands that move a strategy between accounts."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        registry: Registry,
        strategies: StrategyService,
        accounts: Accounts,
    ) -> None:
        self._clock = clock
        self._database = database
        self._registry = registry
        self._strategies = strategies
        self._accounts = accounts

    async def put_in(
        self, user: User, strategy_id: str, account_id: str, *, confirmation: str = ""
    ) -> StrategyView:
        """Has the strategy trade in an account of its owner, from its next start on.

        For a live account ``confirmation`` must be the strategy's name. Raises ``NotFound`` for an
        account that the owner does not have, ``Conflict`` (``STRATEGY_RUNNING``) while it runs or
        for a disabled account, and ``Invalid`` (``NOT_CONFIRMED``).
        """
        view = self._strategies.get(user, strategy_id)
        async with self._registry.lock(view.strategy.id):
            view = self._strategies.get(user, strategy_id)
            strategy = view.strategy
            refuse_while_running(view, "moved to another account")
            account = self._account_for(user, view, account_id)
            if account.mode is Mode.LIVE:
                _refuse_unconfirmed(view, account, confirmation)
            first = paper_account_of(strategy.owner_id)
            changed = replace(
                strategy,
                mode=account.mode,
                account_id=None if account.id == first else account.id,
            )

            def keep(connection: Connection) -> None:
                stored.save_account(connection, changed)
                audit.note(
                    connection, "mode_changed", at=self._clock.now(), by=f"user:{user.name}",
                    subject=strategy.id, before=strategy.mode.value, mode=changed.mode.value,
                    account=account.id,
                )  # fmt: skip

            await self._database.write(keep)
            log.warning(
                "mode_changed strategy=%s mode=%s account=%s by=%r",
                strategy.id, changed.mode.value, account.id, user.name,
            )  # fmt: skip
            return self._registry.put_strategy(changed)

    async def to_paper(self, user: User, strategy_id: str) -> StrategyView:
        """Has it trade on paper, in the account that its owner has from the start."""
        owner_id = self._strategies.get(user, strategy_id).strategy.owner_id
        return await self.put_in(user, strategy_id, paper_account_of(owner_id))

    async def to_live(
        self, user: User, strategy_id: str, *, account_id: str = "", confirmation: str = ""
    ) -> StrategyView:
        """Has it trade live; without ``account_id`` in the one live account that there is.

        Raises as ``put_in``, and ``Invalid`` where there is no live account, or more than one.
        """
        if not account_id:
            live = [one for one in self._accounts.list(user) if one.mode is Mode.LIVE]
            if len(live) != 1:
                raise Invalid(
                    "You have no live account; add one on the page Accounts or with “algohost"
                    " account add”."
                    if not live
                    else f"You have {len(live)} live accounts; say which one.",
                    code="WHICH_ACCOUNT",
                )
            account_id = live[0].id
        account = self._accounts.get(user, account_id)
        if account.mode is not Mode.LIVE:
            raise Invalid(f"“{account.name}” is a paper account.", code="WHICH_ACCOUNT")
        return await self.put_in(user, strategy_id, account.id, confirmation=confirmation)

    def _account_for(self, user: User, view: StrategyView, account_id: str) -> Account:
        """An account of the strategy's owner; another's strategy goes into none but theirs."""
        owner_id = view.strategy.owner_id
        if account_id == paper_account_of(owner_id):
            return self._accounts.find(paper_account_of(owner_id))
        if owner_id != user.id:
            raise Conflict(
                "Only the owner of a strategy can move it into an account of theirs.",
                code="NOT_OWNER",
            )
        account = self._accounts.get(user, account_id)
        if account.disabled_at is not None:
            raise Conflict(f"The account “{account.name}” is disabled.", code=ACCOUNT_DISABLED)
        return account


def _refuse_unconfirmed(view: StrategyView, account: Account, confirmation: str) -> None:
    strategy = view.strategy
    if confirmation.strip() != strategy.name:
        raise Invalid(
            f"From its next start on this strategy would trade with real money in"
            f" “{account.name}”. To confirm, type its name: {strategy.name}",
            code=NOT_CONFIRMED,
            details={"field": "confirmation", "mode": mode_of(account.id).value},
        )
