"""Seals the secrets of strategies, under a key that lies beside the database and never in it.

The key file ``keys/.encryption_key`` (0600, in a folder 0700) has one Fernet key a line, the
newest first: what is sealed from now on is sealed under the first, what was sealed before opens
under any. Whoever has the database alone reads no secret.

    VaultProblem
    ├── KeyExposed   others could read the file, or it is theirs: the server does not start
    ├── KeyLost      there is no file, and there are secrets that it would open
    ├── KeyDamaged   there is a file, and what is in it is no key
    └── SealBroken   the keys do not open a value, or it is another strategy's
"""

import contextlib
import json
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from algohost.domain.errors import Unavailable
from algohost.domain.ids import StrategyId

log = logging.getLogger(__name__)

KEY_FILE: Final = ".encryption_key"
_MOST_BYTES: Final = 64 * 1024
_HAS_OWNERS: Final = os.name == "posix"


class VaultProblem(Unavailable):
    """Secrets can be neither read nor written now."""

    code = "VAULT"


class KeyExposed(VaultProblem):
    """The key file is not its owner's alone."""

    code = "KEY_EXPOSED"


class KeyLost(VaultProblem):
    """The key file is missing."""

    code = "KEY_LOST"


class KeyDamaged(VaultProblem):
    """The key file cannot be read, or holds something else than keys."""

    code = "KEY_DAMAGED"


class SealBroken(VaultProblem):
    """A sealed value does not open, or is not the value of that name and strategy."""

    code = "SEAL_BROKEN"


class RotationPoint(StrEnum):
    """Where a rotation is; a test crashes at each, a server does nothing there."""

    BEFORE_WRITING = "before writing"
    HALF_WRITTEN = "half written"
    """The new list of keys is on disk beside the old one."""
    KEY_ADDED = "key added"
    """The new key is first in the file, everything is still sealed under older ones."""
    RESEALED = "resealed"
    """Everything is sealed under the new key, the older ones are still in the file."""
    HALF_DROPPED = "half dropped"
    DROPPED = "dropped"


Reached = Callable[[RotationPoint], None]


def pass_by(point: RotationPoint) -> None:
    """The ``Reached`` of a server."""


class Vault:
    """The keys of one data directory. Its holder has the directory's lock.

    ``has_sealed`` says whether there is anything that a lost key would have opened.
    """

    def __init__(self, folder: Path, *, has_sealed: Callable[[], bool]) -> None:
        self.path = folder / KEY_FILE
        self._has_sealed = has_sealed
        self._keys: tuple[str, ...] = ()
        self._preparing = threading.Lock()

    def prepare(self) -> None:
        """Reads the keys, and makes the first one where there is nothing yet to open.

        Asks ``has_sealed``, so it is not for the thread that writes. Raises ``VaultProblem``.
        """
        with self._preparing:
            if self._keys:
                return
            try:
                self._keys = read_keys(self.path)
            except KeyLost:
                if self._has_sealed():
                    raise
                key = Fernet.generate_key().decode("ascii")
                make_first_key(self.path, key)
                log.info("vault_key_made path=%s", self.path)
                self._keys = (key,)

    def problem(self) -> VaultProblem | None:
        """What is wrong with the key file now, where it matters. Reads file and database."""
        try:
            read_keys(self.path)
        except KeyLost as lost:
            return lost if self._has_sealed() else None
        except VaultProblem as problem:
            return problem
        return None

    @property
    def key_count(self) -> int:
        """How many keys it knows: more than one only between the steps of a rotation."""
        return len(self._keys)

    def seal(self, strategy_id: StrategyId, name: str, value: str) -> bytes:
        """``value`` as a token that opens for this strategy and name only."""
        bound = json.dumps([strategy_id, name, value], ensure_ascii=False)
        return self._ring().encrypt(bound.encode())

    def open(self, strategy_id: StrategyId, name: str, token: bytes) -> str:
        """The value that ``seal`` was given. Raises ``VaultProblem``."""
        try:
            found = json.loads(self._ring().decrypt(token))
        except (InvalidToken, ValueError):
            found = None
        match found:
            case [str(of), str(named), str(value)] if (of, named) == (strategy_id, name):
                return value
        raise SealBroken(
            f"The secret {name} cannot be opened: it was sealed under a key that is no longer in"
            f" {self.path}, or not for this strategy. Give the secret its value anew, or restore"
            " the key file.",
            details={"name": name},
        )

    def rotate(self, reseal: Callable[[], int], *, reached: Reached = pass_by) -> int:
        """Makes a new key, has ``reseal`` renew every sealed value, drops the older keys.

        ``reseal`` opens and seals each value in one transaction and returns how many there were;
        what it raises leaves the older keys in force beside the new one. A crash at any moment
        leaves every value readable by the next ``prepare``.
        """
        self.prepare()
        older = self._keys
        keys = (Fernet.generate_key().decode("ascii"), *older)
        reached(RotationPoint.BEFORE_WRITING)
        _replace(self.path, keys, lambda: reached(RotationPoint.HALF_WRITTEN))
        reached(RotationPoint.KEY_ADDED)
        self._keys = keys  # before the transaction: what is sealed after it is under the new key
        count = reseal()
        reached(RotationPoint.RESEALED)
        _replace(self.path, keys[:1], lambda: reached(RotationPoint.HALF_DROPPED))
        self._keys = keys[:1]
        reached(RotationPoint.DROPPED)
        log.info("vault_rotated values=%d dropped=%d", count, len(older))
        return count

    def _ring(self) -> MultiFernet:
        if not self._keys:
            self._keys = read_keys(self.path)
        return MultiFernet([Fernet(key) for key in self._keys])


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys in the file, newest first; nothing is made or changed. Raises ``VaultProblem``."""
    try:
        with _opened(path) as descriptor:
            _refuse_exposed(path, os.fstat(descriptor))
            text = os.read(descriptor, _MOST_BYTES)
    except FileNotFoundError as error:
        raise KeyLost(
            f"The key file {path} is missing, so the secrets of strategies cannot be opened."
            " Restore it from a backup; without it, remove the secrets and give them anew.",
        ) from error
    except OSError as error:
        raise KeyDamaged(
            f"The key file {path} cannot be read ({error.strerror or error}); let your user read"
            " it, or restore it from a backup.",
        ) from error
    return _parsed(path, text)


def make_first_key(path: Path, key: str) -> None:
    """Writes a file with one key. Raises ``KeyDamaged`` where one is there, or cannot be made.

    Whole or not at all: the name appears only when the content is on disk, and never in the
    place of another.
    """
    partial = path.with_name(f"{path.name}.new")
    try:
        _make_folder(path.parent)
        _write(partial, (key,))
        os.link(partial, path)  # unlike a rename, refuses where the name is taken
        partial.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyDamaged(
            f"The key file {path} cannot be made ({error.strerror or error}); look at the disk"
            " and the rights of the data directory.",
        ) from error


def _replace(path: Path, keys: Sequence[str], half_way: Callable[[], None]) -> None:
    partial = path.with_name(f"{path.name}.new")
    try:
        _write(partial, keys)
        half_way()
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise KeyDamaged(
            f"The key file {path} cannot be rewritten ({error.strerror or error}); every secret"
            " is readable as before. Look at the disk and try again.",
        ) from error


def _write(path: Path, keys: Sequence[str]) -> None:
    path.unlink(missing_ok=True)  # of a crash: only the holder of the data directory writes here
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii", newline="\n") as file:
        file.writelines(f"{key}\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())


def _make_folder(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)


def _sync_folder(folder: Path) -> None:
    if not _HAS_OWNERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_exposed(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise KeyDamaged(f"The key file {path} is no file; restore it from a backup.")
    if sys.platform == "win32":
        return
    if found.st_uid != os.geteuid():
        raise KeyExposed(
            f"The key file {path} belongs to another user (uid {found.st_uid}), who can read every"
            " secret. Make it yours ('chown'), or move it away and give the secrets anew."
        )
    if found.st_mode & 0o077:
        raise KeyExposed(
            f"The key file {path} can be read or changed by others"
            f" (mode {stat.S_IMODE(found.st_mode):04o}); shut it with 'chmod 600 {path}', and run"
            " 'algohost keys rotate' afterwards if somebody may have read it."
        )


def _parsed(path: Path, text: bytes) -> tuple[str, ...]:
    lines = text.decode("ascii", errors="replace").splitlines()
    keys = tuple(line.strip() for line in lines if line.strip())
    if not keys or not text.endswith(b"\n"):
        what = "is empty" if not keys else "is cut short"
    else:
        what = ""
        try:
            for key in keys:
                Fernet(key)
        except ValueError:
            what = "holds something that is no key"
    if what:
        raise KeyDamaged(
            f"The key file {path} {what}; restore it from a backup. If there is none, move it away"
            " and give the secrets anew: none of them can be opened without it."
        )
    return keys
