"""A strategy of several files: a zip that somebody sent, made into the one archive we keep.

What arrives is hostile until it is read: names, kinds, sizes and number of its entries are
checked before anything is unpacked, and all of it happens in memory. What is kept is canonical
(sorted, uncompressed, without dates), so that the same files are always the same version.
"""

import io
import shutil
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from algohost.domain.errors import Invalid, TooLarge

MAIN: Final = "main.py"
"""The file that a run begins with."""
MOST_PACKED_BYTES: Final = 20 << 20
MOST_BYTES: Final = 50 << 20
MOST_FILES: Final = 2_000
_MOST_RATIO: Final = 200
_RATIO_COUNTS_FROM: Final = 1 << 20
_LONGEST_NAME: Final = 200
_MARK: Final = b"PK\x03\x04"
_ENTRY_MARK: Final = b"PK\x01\x02"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_JUNK_FOLDERS: Final = frozenset(
    {"__MACOSX", "__pycache__", ".git", ".hg", ".svn", ".venv", ".idea", ".vscode"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"}
)
_DAMAGED: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError,
    OSError, ValueError, OverflowError, IndexError,
)  # fmt: skip
"""What ``zipfile`` raises for bytes that are no zip; checked by fuzzing."""
_JUNK_FILES: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


def is_bundle(content: bytes) -> bool:
    """Whether the content of a version is an archive; no Python text can begin so."""
    return content.startswith(_MARK)


def pack(files: Mapping[str, bytes]) -> bytes:
    """The canonical archive of ``files``: the same files, the same bytes, on every machine."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFREG | 0o400) << 16
            archive.writestr(entry, files[name])
    return made.getvalue()


def unpack(content: bytes) -> dict[str, bytes]:
    """The files of an archive that ``pack`` has made, by their names in order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def accept(content: bytes) -> dict[str, bytes]:
    """The files of a zip that was sent, with ``main.py`` among them.

    Raises ``Invalid`` or ``TooLarge`` with a sentence for whatever cannot be a strategy.
    """
    if len(content) > MOST_PACKED_BYTES:
        raise TooLarge(
            f"The zip has {len(content):,} bytes; it may have at most {MOST_PACKED_BYTES:,}.",
            code="FILE_TOO_LARGE",
        )
    if content.count(_ENTRY_MARK) > 10 * MOST_FILES:  # before a list is made of them
        raise _too_many()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = _read(archive)
    except _DAMAGED as error:
        raise _refusal("The zip is damaged, or none at all; make it again.") from error
    return collect(files)


def collect(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """``files`` without what is no part of a strategy, and without the one folder around all.

    Raises ``Invalid`` where there is no ``main.py``.
    """
    kept = {name: data for name, data in files.items() if not is_junk(name)}
    if not kept:
        raise _refusal("The zip has no files in it; put main.py and what it needs into it.")
    tops = {name.partition("/")[0] for name in kept}
    if MAIN not in kept and len(tops) == 1 and f"{next(iter(tops))}/{MAIN}" in kept:
        prefix = f"{tops.pop()}/"
        kept = {name.removeprefix(prefix): data for name, data in kept.items()}
    if MAIN not in kept:
        found = ", ".join(sorted(tops)[:6])
        raise Invalid(
            f"There is no main.py at the top of the zip (there is {found:.200}); give the script"
            " that is to be started the name main.py.",
            code="NO_MAIN",
        )
    if not kept[MAIN].strip():
        raise Invalid("main.py is empty; it is the script that is started.", code="EMPTY_FILE")
    return dict(sorted(kept.items()))


def is_junk(name: str) -> bool:
    """Whether a file is left by some tool and no part of a strategy."""
    *folders, last = name.split("/")
    is_left_over = last in _JUNK_FILES or last.startswith("._") or last.endswith(".pyc")
    return is_left_over or not _JUNK_FOLDERS.isdisjoint(folders)


def materialise(folder: Path, content: bytes, *, partial: Path) -> Path:
    """Puts the files into ``folder``, read-only, unless just they are there; returns main.py.

    They appear all at once. ``partial`` is a path beside it that nobody else uses. What is right
    is never replaced: a run may have begun there.
    """
    files = unpack(content)
    if not _holds(folder, files):
        remove(partial)
        partial.mkdir(mode=0o700, parents=True)
        for name, data in files.items():
            path = partial / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(data)
            path.chmod(0o400)
        for inner in sorted(partial.rglob("*"), reverse=True):
            if inner.is_dir():
                inner.chmod(0o500)
        if _holds(folder, files):  # another was faster
            remove(partial)
            return folder / MAIN
        remove(folder)
        partial.replace(folder)
        folder.chmod(0o500)
    return folder / MAIN


def remove(folder: Path) -> None:
    """Takes a folder away, read-only or not; a link is taken away, not what it leads to."""
    if folder.is_symlink() or folder.is_file():
        folder.unlink()
        return
    if not folder.exists():
        return
    folder.chmod(0o700)
    for inner in folder.rglob("*"):
        if inner.is_dir() and not inner.is_symlink():
            inner.chmod(0o700)
    shutil.rmtree(folder)


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return False
        found = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        names = {path.relative_to(folder).as_posix() for path in found}
        return (
            names == files.keys()
            and not any(path.is_symlink() or not path.is_file() for path in found)
            and all((folder / name).read_bytes() == data for name, data in files.items())
        )
    except OSError:
        return False


def _read(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        raise _too_many()
    seen: dict[str, str] = {}
    for entry in entries:
        _check(entry)
        name = _plain(entry.orig_filename)
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in seen:
            raise _refusal(
                f"The zip has “{seen[folded]}” and “{name}”, which are one name to some systems;"
                " rename one of them."
            )
        seen[folded] = name
    _refuse_files_that_are_folders([e for e in entries if not e.is_dir()])
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise _too_large()
    files, room = {}, MOST_BYTES
    for entry in entries:
        if not entry.is_dir():
            data = _contents(archive, entry, room)
            room -= len(data)
            files[entry.orig_filename] = data
    return files


def _contents(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int) -> bytes:
    """Piece by piece: the size that an entry announces may be a lie."""
    data = bytearray()
    with archive.open(entry) as file:
        while piece := file.read(65_536):
            data += piece
            if len(data) > room:
                raise _too_large()
            if len(data) > max(_RATIO_COUNTS_FROM, _MOST_RATIO * entry.compress_size):
                raise TooLarge(
                    f"“{entry.orig_filename:.80}” is packed more than {_MOST_RATIO} times smaller"
                    " than it is, as no script or table is; leave it out.",
                    code="ZIP_BOMB",
                )
    return bytes(data)


def _check(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    shown = "".join(c if c.isprintable() else "?" for c in name[:80])
    parts = _plain(name).split("/")
    if not name.isprintable() or "\\" in name or ":" in parts[0]:
        raise _refusal(f"The zip has an entry named “{shown}”; use plain names with / between.")
    if name.startswith("/") or any(part in {"", ".", ".."} for part in parts):
        raise _refusal(f"The zip has an entry “{shown}” that leads out of it; make it again.")
    if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        raise _refusal(
            f"The name “{shown}…” is longer than {_LONGEST_NAME} bytes; use shorter names."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG}:
        raise _refusal(f"“{shown}” is a link or no ordinary file; put the file itself in the zip.")
    if entry.flag_bits & 0x2041:
        raise _refusal(f"“{shown}” is encrypted; make the zip without a password.")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _refusal(f"“{shown}” is packed in an unusual way; make an ordinary zip.")


def _plain(name: str) -> str:
    return name.removesuffix("/")


def _refuse_files_that_are_folders(entries: list[zipfile.ZipInfo]) -> None:
    names = {entry.orig_filename.casefold() for entry in entries}
    for entry in entries:
        parts = entry.orig_filename.casefold().split("/")
        for depth in range(1, len(parts)):
            if "/".join(parts[:depth]) in names:
                raise _refusal(
                    f"“{entry.orig_filename:.80}” lies in what is a file in the same zip;"
                    " make it again."
                )


def _refusal(sentence: str) -> Invalid:
    return Invalid(sentence, code="BAD_ZIP")


def _too_many() -> TooLarge:
    return TooLarge(
        f"The zip has more than {MOST_FILES:,} entries; leave out what the strategy does not"
        " need (packages belong into requirements.txt).",
        code="TOO_MANY_FILES",
    )


def _too_large() -> TooLarge:
    return TooLarge(
        f"Unpacked, the zip has more than {MOST_BYTES:,} bytes; keep large data out of it.",
        code="FILE_TOO_LARGE",
    )
