"""``./algohost``: what it does before there is an environment, and how little it does after."""

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the script beside what it looks at, with nothing made yet."""
    root = tmp_path / "checkout"
    (root / "web/src").mkdir(parents=True)
    (root / "src/algohost/web/templates").mkdir(parents=True)
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "web/src/app.ts").write_text("let x = 1\n")
    script = root / "algohost"
    script.write_bytes((ROOT / "algohost").read_bytes())
    script.chmod(0o755)
    return root


@pytest.fixture
def wrapper(checkout: Path) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("wrapper", str(checkout / "algohost"))
    spec = importlib.util.spec_from_loader("wrapper", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def make_environment(checkout: Path) -> None:
    """An environment whose program prints the words it was given."""
    binaries = checkout / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    program = binaries / "algohost"
    program.write_text("#!/bin/sh\nprintf '[%s]' \"$@\"\nexit 7\n")
    program.chmod(0o755)
    static = checkout / "src/algohost/web/static"
    static.mkdir()
    (static / ".stamp").write_text("built")


def start(checkout: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(checkout / "algohost"), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_with_nothing_changed_it_becomes_the_program_at_once(
    checkout: Path, wrapper: ModuleType
) -> None:
    """No uv, no pip: PATH has neither, and words and exit code pass through."""
    make_environment(checkout)
    wrapper.write_stamp(wrapper.fingerprint(), False)
    done = start(checkout, "strategy", "add", "a file.py", PATH="/nonexistent")
    assert (done.stdout, done.stderr, done.returncode) == ("[strategy][add][a file.py]", "", 7)


@pytest.mark.parametrize(
    "changed",
    ["pyproject.toml", "web/src/app.ts", "web/src/new.ts", "src/algohost/web/templates/x.html"],
)
def test_a_changed_input_is_noticed(checkout: Path, wrapper: ModuleType, changed: str) -> None:
    make_environment(checkout)
    before = wrapper.fingerprint()
    wrapper.write_stamp(before, False)
    assert wrapper.is_current(before, False)
    (checkout / changed).write_text("something else entirely\n")
    assert not wrapper.is_current(wrapper.fingerprint(), False)


def test_its_inputs_are_those_that_the_build_names(wrapper: ModuleType) -> None:
    """The list is written twice, because the script reads no TOML before Python 3.11."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    keys = {entry["file"] for entry in project["tool"]["uv"]["cache-keys"]}
    assert {*wrapper.INPUTS, *(f"{folder}/**" for folder in wrapper.INPUT_FOLDERS)} == keys


def test_an_environment_for_the_program_is_not_one_for_the_tests(
    checkout: Path, wrapper: ModuleType
) -> None:
    make_environment(checkout)
    now = wrapper.fingerprint()
    wrapper.write_stamp(now, False)
    assert not wrapper.is_current(now, True)
    wrapper.write_stamp(now, True)
    assert wrapper.is_current(now, True)


@pytest.mark.parametrize("gone", [".venv/bin/algohost", "src/algohost/web/static/.stamp"])
def test_what_was_deleted_is_made_again(checkout: Path, wrapper: ModuleType, gone: str) -> None:
    make_environment(checkout)
    wrapper.write_stamp(wrapper.fingerprint(), False)
    (checkout / gone).unlink()
    assert not wrapper.is_current(wrapper.fingerprint(), False)


def test_an_old_python_is_named(wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper.sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(wrapper.Refusal, match=r"3\.11 or later is needed and this is 3\.9"):
        wrapper.new_enough_python()


def test_an_old_python_uses_a_newer_one_beside_it(
    wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newer = tmp_path / "python3.12"
    newer.symlink_to(sys.executable)
    monkeypatch.setattr(wrapper.sys, "version_info", (3, 9, 2))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert wrapper.new_enough_python() == str(newer)


def test_the_script_can_be_read_by_an_old_python() -> None:
    """So that it can say that it is too old, instead of failing on its own syntax."""
    import ast

    ast.parse((ROOT / "algohost").read_text(encoding="utf-8"), feature_version=(3, 7))


class Commands:
    """Stands for ``subprocess``: the commands asked for, and what each comes to."""

    PIPE = STDOUT = DEVNULL = None

    def __init__(self, *failing: str, said: bytes = b"") -> None:
        self.asked: list[list[str]] = []
        self._failing, self._said = failing, said

    def call(self, command: list[str], **_: Any) -> int:
        self.asked.append(command)
        return 1 if any(word in command for word in self._failing) else 0

    def run(self, command: list[str], **_: Any) -> Any:
        code = self.call(command)
        return type("Done", (), {"returncode": code, "stdout": self._said})()


def outcome(
    wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch, commands: Commands, words: list[str]
) -> int:
    monkeypatch.setitem(sys.modules, "subprocess", commands)
    monkeypatch.setattr(wrapper, "hand_over", lambda _command: 0)
    monkeypatch.setattr(wrapper, "find_uv", lambda: None)
    monkeypatch.setattr(wrapper.sys, "argv", ["algohost", *words])
    code = wrapper.main()
    assert isinstance(code, int)
    return code


def test_the_first_start_makes_the_environment_fetches_uv_and_syncs(
    wrapper: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / ".venv").mkdir()
    commands = Commands()
    assert outcome(wrapper, monkeypatch, commands, ["up"]) == 0
    asked = [" ".join(command) for command in commands.asked]
    assert "-m venv --without-pip" in asked[0]
    assert asked[2].endswith("install --quiet --disable-pip-version-check uv")
    assert f"uv sync --inexact --project {checkout} --no-dev" in asked[3]
    assert (checkout / ".venv/.algohost-run").exists()


def test_only_the_tests_get_the_developers_packages(
    wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = Commands()
    assert outcome(wrapper, monkeypatch, commands, ["test", "-q"]) == 0
    assert "--no-dev" not in commands.asked[-1]


@pytest.mark.parametrize(
    ("failing", "said", "sentence"),
    [
        ("venv", b"no ensurepip", "venv module does not work here (no ensurepip); install it"),
        ("install", b"", "uv could not be fetched from the package index"),
        ("sync", b"", "the environment could not be brought up to date"),
    ],
)
def test_each_thing_that_can_be_missing_gets_one_sentence(
    wrapper: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failing: str,
    said: bytes,
    sentence: str,
) -> None:
    assert outcome(wrapper, monkeypatch, Commands(failing, said=said), ["up"]) == 1
    assert sentence in capsys.readouterr().err


def test_neither_uv_nor_pip_is_named(
    wrapper: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(wrapper, monkeypatch, Commands("pip", "ensurepip"), ["up"]) == 1
    assert "neither uv nor pip is here" in capsys.readouterr().err


def test_a_checkout_that_cannot_be_written_is_named(
    wrapper: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checkout: Path,
) -> None:
    monkeypatch.setattr(wrapper.os, "access", lambda *_: False)
    assert outcome(wrapper, monkeypatch, Commands(), ["up"]) == 1
    assert f"the folder {checkout} cannot be written" in capsys.readouterr().err
