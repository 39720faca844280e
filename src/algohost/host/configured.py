"""Parts of the host as the settings say."""

import logging
import sys

from algohost.host.launch import Folders, Launching
from algohost.host.notice_courier import AppriseCourier
from algohost.host.reach import Ceilings
from algohost.host.retention import Keeping
from algohost.runner.messages import Launcher
from algohost.settings import Settings
from algohost.store import sealed
from algohost.store.database import Database
from algohost.store.vault import KeyExposed, Vault, VaultProblem

log = logging.getLogger(__name__)


def vault_of(database: Database, folders: Folders) -> Vault:
    """The vault of a data directory, its keys not looked at yet."""
    return Vault(folders.keys, has_sealed=lambda: database.read(sealed.anything))


def prepared_vault(database: Database, folders: Folders) -> Vault:
    """Raises ``KeyExposed`` for keys that others can read. Without keys the server runs all the
    same: what has secrets does not start, and says why."""
    vault = vault_of(database, folders)
    try:
        vault.prepare()
    except KeyExposed:
        raise
    except VaultProblem as problem:
        log.error("vault_shut reason=%s", problem)  # noqa: TRY400 - the sentence says it all
    return vault


def courier(settings: Settings) -> AppriseCourier:
    """Who delivers messages, and where it may connect to."""
    return AppriseCourier(private=settings.notice_private_networks)


def ceilings(settings: Settings) -> Ceilings:
    """What users may let a strategy use."""
    return Ceilings(
        memory_mb=settings.most_memory_mb,
        threads=settings.most_threads,
        open_files=settings.most_open_files,
        disk_mb=settings.most_disk_mb,
        log_mb=settings.most_log_mb,
    )


def keeping(settings: Settings) -> Keeping:
    """How much of logs is kept."""
    return Keeping(
        runs=settings.log_keep_runs,
        days=settings.log_keep_days,
        megabytes=settings.log_keep_mb,
    )


def launching(settings: Settings, folders: Folders) -> Launching:
    """How runs are launched."""
    return Launching(
        folders=folders,
        host=settings.host,
        port=settings.port,
        feed_port=settings.feed_port,
        launcher=launcher(settings),
        accelerate=settings.accelerate_client,
    )


def launcher(settings: Settings) -> Launcher:
    """The launcher that ``auto`` means on this machine, or the one that is set."""
    if settings.launcher == "auto":
        return "zygote" if sys.platform.startswith("linux") else "subprocess"
    return settings.launcher
