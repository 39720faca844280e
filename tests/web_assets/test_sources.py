"""The browser's sources: typed, locked to no registry, and writing figures as Python does."""

import json
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from algohost.domain.money import format_inr
from algohost.domain.strategies import Phase
from algohost.web.schedule_words import in_text
from algohost.web.shown import GROUPS, SCHEDULED
from tests.web_assets.node import ROOT, WEB, build_script, node

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "inr_cases.json").read_text())


def test_typescript_finds_no_error() -> None:
    done = node("node_modules/typescript/bin/tsc", "--noEmit")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_lock_file_names_every_platform_and_no_registry() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    wanted = {name for p in packages.values() for name in p.get("optionalDependencies", {})}
    there = {name.rpartition("node_modules/")[2] for name in packages}
    assert wanted - there == set()


def test_every_dependency_is_pinned_to_one_version() -> None:
    package = json.loads((WEB / "package.json").read_text())
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert {n: v for n, v in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", v)} == {}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['amount']}→{case['text']}")
def test_python_writes_rupees_as_the_cases_say(case: dict[str, Any]) -> None:
    amount = case["amount"]
    exact = Decimal(amount) if isinstance(amount, str) else amount
    options = {name: case[name] for name in ("decimals", "sign") if name in case}
    assert format_inr(exact, **options) == case["text"]


def test_typescript_writes_rupees_as_the_cases_say() -> None:
    program = f"""
        import * as esbuild from "esbuild";
        const built = await esbuild.build({{
          entryPoints: ["src/format.ts"], bundle: true, format: "esm", write: false,
        }});
        const code = Buffer.from(built.outputFiles[0].text).toString("base64");
        const {{ inr }} = await import("data:text/javascript;base64," + code);
        const cases = {json.dumps(CASES)};
        const write = (one) => inr(one.amount, one.decimals ?? 2, one.sign ?? "negative");
        console.log(JSON.stringify(cases.map(write)));
    """
    done = node("--input-type=module", "-e", program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [case["text"] for case in CASES]


def test_typescript_and_python_sort_the_phases_into_the_same_heaps() -> None:
    text = (WEB / "src/row.ts").read_text()
    table = re.search(r"const GROUPS: .*?= \{(.*?)\};", text, re.DOTALL)
    assert table is not None
    heaps = dict(re.findall(r'(\w+): "(\w+)"', table[1]))
    assert heaps == {phase.value: GROUPS[phase] for phase in Phase} | {SCHEDULED: SCHEDULED}


def test_typescript_and_python_say_alike_how_long_until_a_start() -> None:
    seconds = [-5, 0, 0.4, 1, 42, 59.9, 60, 3599, 3600, 86_399, 86_400, 133_200, 9_999_999]
    program = f"""
        import * as esbuild from "esbuild";
        const built = await esbuild.build({{
          entryPoints: ["src/format.ts"], bundle: true, format: "esm", write: false,
        }});
        const code = Buffer.from(built.outputFiles[0].text).toString("base64");
        const {{ until }} = await import("data:text/javascript;base64," + code);
        console.log(JSON.stringify({json.dumps(seconds)}.map(until)));
    """
    done = node("--input-type=module", "-e", program)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [in_text(one) for one in seconds]


def test_no_source_writes_markup_from_text() -> None:
    """Log lines, names and reasons come from outside: they are put in as text."""
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(")
    found = [p.name for p in WEB.glob("src/*.ts") if forbidden.search(p.read_text())]
    assert found == []


def test_templates_hold_no_inline_script_style_or_handler() -> None:
    """The policy forbids them, so they would not work; JSON in a script element is data."""
    forbidden = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*(src=|application/json))")
    folder = ROOT / "src/algohost/web/templates"
    assert [p.name for p in folder.glob("*.html") if forbidden.search(p.read_text())] == []


def test_nothing_is_built_while_no_source_changed(tmp_path: Path) -> None:
    """The stamp is what the build wrote; a change of any template makes it stale."""
    module = build_script()
    for pattern in module.SOURCES:
        for path in ROOT.glob(pattern):
            if path.is_file():
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
    static = tmp_path / module.STATIC
    static.mkdir(parents=True)
    (static / ".stamp").write_text(module._digest(tmp_path, module.SOURCES))
    assert module.build(tmp_path) is False
    template = tmp_path / "src/algohost/web/templates/base.html"
    template.write_text(template.read_text() + "\n")
    assert module._digest(tmp_path, module.SOURCES) != (static / ".stamp").read_text()
