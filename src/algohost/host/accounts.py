"""What people do with accounts: add, list, rename, disable, remove.

An API key is write-only: it goes into the vault, and comes out for the broker alone. Every
command names the user; somebody else's account is as good as none. Whoever has an account has
the paper one from the start, which is kept nowhere until it is renamed.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from algohost.domain.accounts import (
    FIRST_PAPER,
    MOST_ACCOUNTS,
    PAPER,
    Account,
    checked_account_name,
    checked_base_url,
    checked_feed_url,
    checked_key,
    mode_of,
    new_account_id,
)
from algohost.domain.errors import Conflict, Invalid, NotFound
from algohost.domain.ids import AccountId, StrategyId
from algohost.domain.orders import Book
from algohost.domain.ports import Clock
from algohost.domain.reach import Network, Reach, host_of, is_written_out, refused
from algohost.domain.strategies import Mode
from algohost.domain.users import User, paper_account
from algohost.host.listeners import tell
from algohost.host.registry import Registry
from algohost.store import accounts as stored
from algohost.store import audit
from algohost.store.database import Database
from algohost.store.vault import Vault

log = logging.getLogger(__name__)

ACCOUNT_DISABLED = "ACCOUNT_DISABLED"

AccountListener = Callable[[AccountId], None]


async def _has_none(_account: AccountId) -> bool:
    return False


class Accounts:
    """All accounts of one server. Used on the server's loop only; a look never waits."""

    def __init__(
        self,
        *,
        clock: Clock,
        database: Database,
        vault: Vault,
        registry: Registry,
        live_brokers: Collection[str],
        users: Callable[[], Sequence[User]],
        networks: Collection[Network] = (),
    ) -> None:
        """``live_brokers`` are the names of the brokers that a live account may have;
        ``networks`` are where everybody's may be, besides public addresses."""
        self._clock = clock
        self._database = database
        self._vault = vault
        self._registry = registry
        self._live_brokers = sorted(live_brokers)
        self._users = users
        self._networks = networks
        self._accounts = {one.id: one for one in database.read(stored.all_accounts)}
        self._keys: dict[AccountId, str] = {}
        self._listeners: list[AccountListener] = []
        self.has_open_orders: Callable[[AccountId], Awaitable[bool]] = _has_none
        """Whether an account has orders that may still trade; the server's gateway says."""

    # ---- looking

    def list(self, user: User) -> Sequence[Account]:
        """The user's accounts, the first paper one before all others."""
        first = self._first(user)
        others = [one for one in self._accounts.values() if one.owner_id == user.id]
        return [first, *(one for one in others if one.id != first.id)]

    def get(self, user: User, account_id: str) -> Account:
        """One of the user's accounts, by its id or its name.

        Raises ``NotFound`` for an unknown one and for somebody else's alike.
        """
        mine = self.list(user)
        wanted = account_id.strip().casefold()
        by_id = [one for one in mine if one.id == account_id]
        found = by_id or [one for one in mine if one.name.casefold() == wanted]
        if not found:
            raise NotFound("You have no such account; it may be removed.", code="NO_ACCOUNT")
        return found[0]

    def find(self, account_id: AccountId) -> Account:
        """Any account, for the broker that serves it. Raises ``NotFound``."""
        found = self._accounts.get(account_id)
        if found is None:
            owner = (one for one in self._users() if paper_account(one) == account_id)
            user = next(owner, None)
            if user is None:
                raise NotFound(f"There is no account {account_id}.", code="NO_ACCOUNT")
            found = self._first(user)
        return found

    def ids(self) -> Sequence[AccountId]:
        """Every account there is."""
        firsts = [paper_account(user) for user in self._users()]
        return [*firsts, *(one for one in self._accounts if one not in firsts)]

    def strategies_in(self, account_id: AccountId) -> Sequence[StrategyId]:
        """Which strategies trade in an account."""
        return [v.strategy.id for v in self._registry if v.strategy.account == account_id]

    def key_of(self, account_id: AccountId) -> str:
        """An account's API key, opened, for its broker alone; in any thread.

        Raises ``NotFound`` where it has none, ``VaultProblem`` where it does not open.
        """
        known = self._keys.get(account_id)
        if known is None:
            sealed = self._database.read(lambda c: stored.sealed_key(c, account_id))
            known = self._vault.open(stored.seal_name(account_id), stored.KEY_NAME, sealed)
            self._keys[account_id] = known
        return known

    def reach_of(self, account_id: AccountId) -> Reach:
        """Which addresses the host may connect to for an account: by whose it is now."""
        account = self._accounts.get(account_id)
        owner = None if account is None else account.owner_id
        return self._reach(next((user for user in self._users() if user.id == owner), None))

    def refuse_order(self, book: Book) -> None:
        """Raises ``Conflict`` where no new order is taken in the book's account."""
        found = self._accounts.get(book.account_id)
        if found is not None and found.disabled_at is not None:
            raise Conflict(
                f"The account “{found.name}” is disabled, so it takes no new orders; enable it"
                " on the page Accounts.",
                code=ACCOUNT_DISABLED,
            )

    def listen(self, listener: AccountListener) -> Callable[[], None]:
        """Calls ``listener`` with each account that was added or changed, until undone."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ---- acting

    async def add_paper(self, user: User, name: str) -> Account:
        """A new paper account with cash of its own. Raises ``Invalid``, ``Conflict``."""
        plain = self._new_name(user, name)
        made = Account(
            id=new_account_id(user.id, Mode.PAPER, secrets.token_hex(4)),
            owner_id=user.id,
            name=plain,
            broker=PAPER,
            created_at=self._clock.now(),
        )
        return await self._keep(user, made, "account_added")

    async def add_live(
        self, user: User, name: str, *, broker: str, base_url: str, feed_url: str, api_key: str
    ) -> Account:
        """A new live account; its key is sealed and never shown again.

        Raises ``Invalid``, ``Conflict``, and ``VaultProblem`` where nothing can be sealed.
        """
        plain, key = self._new_name(user, name), checked_key(api_key)
        if broker not in self._live_brokers:
            known = ", ".join(self._live_brokers)
            raise Invalid(f"“{broker[:40]}” is not a broker here; use {known}.", code="NO_BROKER")
        base_url, feed_url = checked_base_url(base_url), checked_feed_url(feed_url)
        self._refuse_near(user, base_url, feed_url)
        made = Account(
            id=new_account_id(user.id, Mode.LIVE, secrets.token_hex(4)),
            owner_id=user.id,
            name=plain,
            broker=broker,
            created_at=self._clock.now(),
            base_url=base_url,
            feed_url=feed_url,
        )
        return await self._keep(user, made, "account_added", key=key)

    async def set_key(self, user: User, account_id: str, api_key: str) -> Account:
        """Gives a live account another key; orders use it from now on. Raises as ``add_live``."""
        account, key = self.get(user, account_id), checked_key(api_key)
        if account.mode is not Mode.LIVE:
            raise Invalid("A paper account has no API key.", code="NO_API_KEY")
        return await self._keep(user, account, "account_key_changed", key=key)

    async def rename(self, user: User, account_id: str, name: str) -> Account:
        """Calls an account something else. Raises ``Invalid``, ``Conflict``."""
        account = self.get(user, account_id)
        plain = self._new_name(user, name, of=account)
        return await self._keep(user, replace(account, name=plain), "account_renamed")

    async def disable(self, user: User, account_id: str) -> Account:
        """Nothing starts in it and no new order is taken; open ones can be cancelled."""
        disabled = replace(self.get(user, account_id), disabled_at=self._clock.now())
        return await self._keep(user, disabled, "account_disabled")

    async def enable(self, user: User, account_id: str) -> Account:
        """Undoes ``disable``."""
        enabled = replace(self.get(user, account_id), disabled_at=None)
        return await self._keep(user, enabled, "account_enabled")

    async def note_reset(self, user: User, account_id: str) -> Account:
        """Puts on record that a user has a paper account begin anew, which the caller then does.

        Raises ``Conflict`` for a live one.
        """
        account = self.get(user, account_id)
        if account.mode is Mode.LIVE:
            raise Conflict(
                f"“{account.name}” is an account of real money and cannot be reset. Close its"
                " positions instead.",
                code="NOT_A_PAPER_ACCOUNT",
            )
        await self._database.write(lambda c: self._note(c, "account_reset", user, account))
        return account

    async def remove(self, user: User, account_id: str) -> None:
        """Takes an account away and forgets its key; its orders stay on record.

        Raises ``Conflict`` for the first paper account, and while strategies or open orders use
        it.
        """
        account = self.get(user, account_id)
        if account.id == paper_account(user):
            raise Conflict(
                "The paper account that you have from the start cannot be removed; rename it or"
                " set its cash instead.",
                code="FIRST_ACCOUNT",
            )
        users = self.strategies_in(account.id)
        if users:
            raise Conflict(
                f"{len(users)} of your strategies trade in “{account.name}” ({users[0]}); give"
                " them another account first.",
                code="ACCOUNT_IN_USE",
                details={"strategies": list(users)},
            )
        if await self.has_open_orders(account.id):
            raise Conflict(
                f"“{account.name}” has open orders, or some whose outcome is not known; cancel"
                " them first.",
                code="ACCOUNT_IN_USE",
            )
        now = self._clock.now()

        def write(connection: Connection) -> None:
            stored.mark_removed(connection, account.id, at=now)
            self._note(connection, "account_removed", user, account)

        await self._database.write(write)
        self._accounts.pop(account.id, None)
        self._keys.pop(account.id, None)
        tell(self._listeners, account.id)

    # ---- inside

    def _first(self, user: User) -> Account:
        first_id = paper_account(user)
        return self._accounts.get(first_id) or Account(
            id=first_id, owner_id=user.id, name=FIRST_PAPER, broker=PAPER, created_at=None
        )

    def _reach(self, owner: User | None) -> Reach:
        return Reach(is_wide=owner is not None and owner.is_admin, networks=self._networks)

    def _refuse_near(self, user: User, *urls: str) -> None:
        """Says so at once where an address says by itself that it may not be connected to."""
        for url in urls:
            host = host_of(url)
            if is_written_out(host) and not self._reach(user).allows(host):
                raise refused(host)

    def _new_name(self, user: User, name: str, *, of: Account | None = None) -> str:
        plain = checked_account_name(name)
        others = [one for one in self.list(user) if of is None or one.id != of.id]
        if any(one.name.casefold() == plain.casefold() for one in others):
            raise Conflict(
                f"You have an account “{plain}” already; choose another name.", code="NAME_TAKEN"
            )
        if of is None and len(others) >= MOST_ACCOUNTS:
            raise Conflict(
                f"You have {len(others)} accounts, and may have {MOST_ACCOUNTS}; remove one first.",
                code="TOO_MANY_ACCOUNTS",
            )
        return plain

    async def _keep(
        self, user: User, account: Account, act: str, *, key: str | None = None
    ) -> Account:
        now = self._clock.now()
        if key is not None:
            await asyncio.to_thread(self._vault.prepare)

        def write(connection: Connection) -> None:
            stored.put(connection, account, created_at=account.created_at or now)
            if key is not None:
                # sealed by the thread that writes, so never across a rotation of keys
                sealed = self._vault.seal(stored.seal_name(account.id), stored.KEY_NAME, key)
                stored.put_key(connection, account.id, sealed)
            self._note(connection, act, user, account)

        await self._database.write(write)
        self._accounts[account.id] = account
        if key is not None:
            self._keys[account.id] = key
        log.info("%s account=%s", act, account.id)
        tell(self._listeners, account.id)
        return account

    def _note(self, connection: Connection, act: str, user: User, account: Account) -> None:
        audit.note(
            connection, act, at=self._clock.now(), by=f"user:{user.name}", subject=account.id,
            name=account.name, broker=account.broker, mode=mode_of(account.id).value,
            address=account.base_url,
        )  # fmt: skip
