"""Everything that the vault has sealed, wherever it lies: for a lost key, and for a new one.

A table with sealed values that is not named here would be left behind by a rotation of keys.
"""

from sqlalchemy import Connection

from algohost.domain.ids import StrategyId
from algohost.store import accounts, notices, variables
from algohost.store.vault import Vault


def anything(connection: Connection) -> bool:
    """Whether there is anything that a lost key would have opened."""
    tables = (variables, accounts, notices)
    return any(table.any_sealed(connection) for table in tables)


def reseal(connection: Connection, vault: Vault) -> int:
    """Seals everything anew; returns how many values there were. Raises ``VaultProblem``."""

    def renew(of: StrategyId, name: str, token: bytes) -> bytes:
        return vault.seal(of, name, vault.open(of, name, token))

    return (
        variables.reseal(connection, renew)
        + accounts.reseal(
            connection, lambda a, token: renew(accounts.seal_name(a), accounts.KEY_NAME, token)
        )
        + notices.reseal(
            connection, lambda owner, name, token: renew(notices.seal_name(owner), name, token)
        )
    )
