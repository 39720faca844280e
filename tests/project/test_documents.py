"""Documentation that is checked: what has no page, or no longer exists, fails here."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from algohost.cli.app import app
from algohost.settings import Settings, variable_name

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted((ROOT / "docs").glob("*.md"))
COMMANDS = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the program with its own options."""

    def walk(command: object, path: str) -> Iterator[tuple[str, list[str]]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            params = getattr(command, "params", [])
            yield path, [option for p in params for option in p.opts if option.startswith("--")]
            return
        for name, one in inner.items():
            yield from walk(one, f"{path} {name}")

    yield from walk(typer.main.get_command(app), "algohost")


@pytest.mark.parametrize(("command", "options"), list(commands()))
def test_every_command_and_option_is_documented(command: str, options: list[str]) -> None:
    assert re.search(rf"`{command}[ `]", COMMANDS), command
    for option in options:
        assert f"{option}" in COMMANDS, f"{command} {option}"


def test_every_documented_command_exists() -> None:
    known = {command for command, _ in commands()}
    written = {
        f"algohost {words.strip()}"
        for words in re.findall(r"^\| `algohost ((?:[a-z]+ ?)+)", COMMANDS, re.MULTILINE)
    }
    assert written == known


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_is_documented_with_its_default(name: str) -> None:
    row = re.search(rf"^\| `{name}` \| `(\w+)` \| (.+?) \| .+ \|$", SETTINGS, re.MULTILINE)
    assert row is not None, name
    assert row[1] == variable_name(name)
    field = Settings.model_fields[name]
    if name == "data_dir":
        expected = "`~/.local/share/algohost`"
    elif field.default in ((), ""):
        expected = "none"
    else:
        shown = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        expected = f"`{shown.lower()}`"
    assert row[2] == expected


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_every_setting_does_something(name: str) -> None:
    users = [path for path in (ROOT / "src").rglob("*.py") if path.name != "settings.py"]
    assert any(f"settings.{name}" in path.read_text(encoding="utf-8") for path in users)


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| `ALGOHOST_", SETTINGS, re.MULTILINE)) == set(
        Settings.model_fields
    )


def test_the_readme_gives_a_reason_for_each_dependency_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {re.split(r"[\[<>=~! ]", d)[0] for d in project["project"]["dependencies"]}
    section = README.partition("## Dependencies")[2].partition("For development")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \| .+ \|$", section, re.MULTILINE)) == needed


def test_nothing_is_needed_that_pandas_imports_wherever_it_is() -> None:
    """Every run would hold it, wanted or not: of pyarrow 2 MB each."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {re.split(r"[\[<>=~! ]", d)[0] for d in project["project"]["dependencies"]}
    assert needed.isdisjoint({"pyarrow", "numexpr", "bottleneck"})


def test_the_readme_names_each_developers_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {re.split(r"[\[<>=~! ]", d)[0] for d in project["dependency-groups"]["dev"]}
    section = README.partition("For development: ")[2].partition(".")[0]
    assert set(re.findall(r"`([\w-]+)`", section)) == needed


def test_each_test_that_the_readme_cites_exists() -> None:
    cited = re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", README)
    assert cited
    missing = [
        f"{path}::{name}"
        for path, name in cited
        if not (ROOT / path).exists() or f"def {name}" not in (ROOT / path).read_text("utf-8")
    ]
    assert missing == []


def test_thirteen_promises_are_listed() -> None:
    numbers = re.findall(r"^\| (\d+) \| \*\*", README, re.MULTILINE)
    assert numbers == [str(n) for n in range(1, 14)]


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_can_be_reached_from_the_readme(page: Path) -> None:
    assert f"(docs/{page.name})" in README


def test_the_examples_that_are_spoken_of_exist() -> None:
    texts = [README, *(page.read_text(encoding="utf-8") for page in PAGES)]
    named = {path for text in texts for path in re.findall(r"(?<!tests/)examples/\w+\.py", text)}
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_pages_need_nothing_but_what_npm_builds() -> None:
    """No page may load from another host, so no package may be a mere name in a script tag."""
    package = json.loads((ROOT / "web/package.json").read_text(encoding="utf-8"))
    pinned = {**package["dependencies"], **package["devDependencies"]}
    assert [name for name, spec in pinned.items() if not re.fullmatch(r"\d+\.\d+\.\d+", spec)] == []
