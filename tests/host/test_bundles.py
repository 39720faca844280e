"""Strategies of several files: what arrives is hostile, what is kept is canonical."""

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algohost.domain.errors import AlgohostError, Invalid, TooLarge
from algohost.host import bundles

MAIN = b"print('namaste')\n"
Entry = tuple[str | zipfile.ZipInfo, bytes]


def zipped(*entries: Entry, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return made.getvalue()


def special(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = mode << 16
    return entry


def renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    """A zip with a name that Python would not write."""
    assert len(old) == len(new)
    return content.replace(old, new)


def patched(content: bytes, mark: bytes, offset: int, value: bytes) -> bytes:
    at = content.index(mark) + offset
    return content[:at] + value + content[at + len(value) :]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 and nothing else", "damaged"),
        (zipped(), "no files"),
        (zipped(("__MACOSX/._main.py", b"x")), "no files"),
        (zipped(("ema.py", MAIN)), "no main.py at the top of the zip (there is ema.py)"),
        (zipped(("a/main.py", MAIN), ("b/x.py", MAIN)), "no main.py"),
        (zipped(("main.py", b" \n")), "main.py is empty"),
        (zipped(("main.py", MAIN), ("../out.py", MAIN)), "leads out of it"),
        (zipped(("main.py", MAIN), ("a/../../out.py", MAIN)), "leads out of it"),
        (zipped(("main.py", MAIN), ("/etc/cron.d/x", MAIN)), "leads out of it"),
        (zipped(("main.py", MAIN), ("a//b.py", MAIN)), "leads out of it"),
        (zipped(("main.py", MAIN), ("./b.py", MAIN)), "leads out of it"),
        (renamed(zipped(("main.py", MAIN), ("a_b.py", MAIN)), b"a_b.py", b"a\\b.py"), "plain"),
        (renamed(zipped(("main.py", MAIN), ("a_b.py", MAIN)), b"a_b.py", b"a\0b.py"), "plain"),
        (zipped(("main.py", MAIN), ("C:evil.py", MAIN)), "plain names"),
        (zipped(("main.py", MAIN), ("a\nb.py", MAIN)), "plain names"),
        (zipped(("main.py", MAIN), ("a\u202eyp.x", MAIN)), "plain names"),
        (zipped(("main.py", MAIN), ("x" * 201, MAIN)), "longer than 200 bytes"),
        (zipped(("main.py", MAIN), ("MAIN.py", MAIN)), "one name to some systems"),
        (zipped(("main.py", MAIN), ("é.py", MAIN), ("e\u0301.py", MAIN)), "one name"),
        (zipped(("main.py", MAIN), ("a", MAIN), ("a/b.py", MAIN)), "is a file in the same zip"),
        (zipped(("main.py", MAIN), ("A", MAIN), ("a/b.py", MAIN)), "is a file in the same zip"),
        (
            zipped(("main.py", MAIN), (special("link", stat.S_IFLNK | 0o777), b"/etc/passwd")),
            "a link or no ordinary file",
        ),
        (zipped(("main.py", MAIN), (special("pipe", stat.S_IFIFO | 0o600), b"")), "no ordinary"),
        (patched(zipped(("main.py", MAIN)), b"PK\x01\x02", 8, b"\x01"), "encrypted"),
        (zipped(("main.py", MAIN), method=zipfile.ZIP_BZIP2), "an unusual way"),
        (zipped(("main.py", MAIN), method=zipfile.ZIP_LZMA), "an unusual way"),
        (
            zipped(("main.py", MAIN), method=zipfile.ZIP_STORED).replace(b"namaste", b"evil..."),
            "da",
        ),
    ],
)
def test_a_bad_zip_is_refused_with_a_sentence(content: bytes, said: str) -> None:
    """S6, S7, S8: no link, no way out, no name that means two things."""
    with pytest.raises(Invalid) as refused:
        bundles.accept(content)
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (zipped(("main.py", MAIN), ("zeros", bytes(20 << 20))), "ZIP_BOMB"),
        (zipped(("main.py", MAIN), *((f"f{n}", b"") for n in range(2_000))), "TOO_MANY_FILES"),
        (zipped(("main.py", MAIN), *((f"d{n}/", b"") for n in range(2_000))), "TOO_MANY_FILES"),
        (b"PK\x03\x04" + b"PK\x01\x02" * 30_000, "TOO_MANY_FILES"),
        (os.urandom(1) * (bundles.MOST_PACKED_BYTES + 1), "FILE_TOO_LARGE"),
        (
            zipped(("main.py", MAIN), *((f"{n}.bin", bytes(1 << 20)) for n in range(51))),
            "FILE_TOO_LARGE",
        ),
    ],
)
def test_a_bomb_is_refused(content: bytes, code: str) -> None:
    """S8: entries, size and ratio are bounded."""
    with pytest.raises(TooLarge) as refused:
        bundles.accept(content)
    assert refused.value.code == code


def test_an_entry_that_lies_about_its_size_costs_no_memory() -> None:
    """S8: 60 MB behind an announced hundred bytes is never held."""
    import tracemalloc

    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packed.compress(bytes(60 << 20)) + packed.flush()
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, 0, len(data), 100, 4, 0)
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 0, 0, len(data), 100, 4, 0, 0, 0, 0, 0, 0
    )
    body = local + b"bomb" + data
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central) + 4, len(body), 0)
    tracemalloc.start()
    with pytest.raises(AlgohostError):
        bundles.accept(body + central + b"bomb" + end)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


names = st.lists(
    st.text(st.sampled_from("abcz_.é/"), min_size=1, max_size=8), max_size=5, unique=True
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(["a.py", "b/c.py", "d/e/f.txt", "ü"]), st.binary()))
def test_the_same_files_are_the_same_archive_whatever_the_order(files: dict[str, bytes]) -> None:
    whole = {**files, "main.py": MAIN}
    backwards = dict(reversed(whole.items()))
    first = bundles.pack(bundles.accept(zipped(*whole.items())))
    wrapped = zipped(*((f"top/{name}", data) for name, data in backwards.items()))
    second = bundles.pack(bundles.accept(wrapped))
    assert first == second
    assert bundles.unpack(first) == dict(sorted(whole.items()))
    assert bundles.is_bundle(first)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mutilated_zip_does_more_than_be_refused(data: st.DataObject) -> None:
    """S8: whatever the bytes, there are files with main.py, or one of our refusals."""
    good = bytearray(zipped(("main.py", MAIN), ("a/b.py", MAIN), ("data.bin", bytes(200))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(good) - 1))
        good[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    for content in (bytes(good), bytes(good[:cut])):
        try:
            files = bundles.accept(content)
        except AlgohostError:
            continue
        assert "main.py" in files
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in files)


@settings(max_examples=100, deadline=None)
@given(names)
@example(["main.py/x"])
def test_whatever_the_names_nothing_leaves_its_folder(found: list[str]) -> None:
    """S7: accepted names can all be written, and stay inside."""
    content = zipped(("main.py", MAIN), *((name, b"x") for name in found))
    try:
        files = bundles.accept(content)
    except AlgohostError:
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        bundles.materialise(code, bundles.pack(files), partial=Path(folder) / "partial")
        there = {p.relative_to(code).as_posix() for p in code.rglob("*") if p.is_file()}
        assert there == files.keys()
        bundles.remove(code)


def test_junk_is_left_out_and_nested_archives_stay_files() -> None:
    inner = zipped(("main.py", b"inner"))
    files = bundles.accept(
        zipped(
            ("pairs/main.py", MAIN),
            ("pairs/lib/__init__.py", b""),
            ("pairs/lib/__pycache__/x.cpython-311.pyc", b"x"),
            ("__MACOSX/pairs/._main.py", b"x"),
            ("pairs/.DS_Store", b"x"),
            ("pairs/inner.zip", inner),
        )
    )
    assert files == {"inner.zip": inner, "lib/__init__.py": b"", "main.py": MAIN}


class TestOnDisk:
    """R19: what lies in the folder of a version is that version, or is put right."""

    CONTENT = bundles.pack({"main.py": MAIN, "lib/a.py": b"A = 1\n"})

    def put(self, folder: Path) -> Path:
        return bundles.materialise(folder / "v", self.CONTENT, partial=folder / ".p")

    def test_it_is_read_only_and_complete(self, tmp_path: Path) -> None:
        script = self.put(tmp_path)
        assert script == tmp_path / "v" / "main.py"
        assert (tmp_path / "v" / "lib" / "a.py").read_bytes() == b"A = 1\n"
        assert stat.S_IMODE(script.stat().st_mode) == 0o400
        assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o500
        assert not (tmp_path / ".p").exists()

    def test_the_slower_of_two_leaves_what_the_faster_has_put(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A run may have begun there: neither its files nor its folder are replaced."""
        real = bundles._holds
        placed: list[int] = []

        def faster(folder: Path, files: Mapping[str, bytes]) -> bool:
            if placed:
                return real(folder, files)
            placed.append(0)  # it sees nothing; before it is done, another has put it there
            bundles.materialise(folder, self.CONTENT, partial=folder.with_name(".other"))
            placed.append(folder.stat().st_ino)
            return False

        monkeypatch.setattr(bundles, "_holds", faster)
        script = self.put(tmp_path)
        assert placed == [0, script.parent.stat().st_ino]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["v"]

    def test_what_is_right_is_left_alone(self, tmp_path: Path) -> None:
        before = self.put(tmp_path).stat().st_ino
        assert self.put(tmp_path).stat().st_ino == before

    @pytest.mark.parametrize("damage", ["changed", "missing", "added", "linked", "file", "half"])
    def test_what_is_not_is_put_right(self, tmp_path: Path, damage: str) -> None:
        self.put(tmp_path)
        folder, outside = tmp_path / "v", tmp_path / "outside.py"
        for inner in (folder, folder / "lib"):
            inner.chmod(0o700)
        (folder / "lib/a.py").chmod(0o600)
        outside.write_bytes(b"A = 1\n")
        match damage:
            case "changed":
                (folder / "lib/a.py").write_bytes(b"A = 2\n")
            case "missing":
                (folder / "lib/a.py").unlink()
            case "added":
                (folder / "lib/os.py").write_bytes(b"")
            case "linked":
                (folder / "lib/a.py").unlink()
                (folder / "lib/a.py").symlink_to(outside)
            case "file":
                bundles.remove(folder)
                folder.write_bytes(b"")
            case _:
                (tmp_path / ".p").mkdir()
                (tmp_path / ".p" / "main.py").write_bytes(b"half")
                bundles.remove(folder)
        self.put(tmp_path)
        assert (folder / "lib/a.py").read_bytes() == b"A = 1\n"
        assert not (folder / "lib/a.py").is_symlink()
        assert sorted(p.name for p in folder.rglob("*")) == ["a.py", "lib", "main.py"]
        assert outside.read_bytes() == b"A = 1\n"
