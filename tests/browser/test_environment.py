"""Strategies of several files in the editor, and the environment as it is made."""

import io
import platform
import zipfile
from dataclasses import replace

import pytest
from playwright.sync_api import FilePayload, Page, expect

from algohost.host.environment_views import EnvironmentView, State
from algohost.host.requirements import Origin, Requirements
from tests.browser.conftest import Server, Watched
from tests.browser.fake_environments import FACTS, PROPOSED
from tests.browser.fake_host import NAME

pytestmark = pytest.mark.browser

ASKED = Requirements(lines=("openalgo", "scipy==1.16.0"), python=">=3.12", origin=Origin.SCRIPT)
MAKING = EnvironmentView(state=State.MAKING, asked=ASKED, line="Resolving packages")
ERROR = "error: No solution found when resolving dependencies\n  cause: Because scipy <b>x</b>"


def zipped(name: str = "pairs.zip", **files: str) -> FilePayload:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for file, text in files.items():
            archive.writestr(f"{file}.py", text)
    return {"name": name, "mimeType": "application/zip", "buffer": made.getvalue()}


def upload(page: Page, file: FilePayload) -> None:
    page.goto("/python/new")
    page.set_input_files("input[type=file]", file)
    page.get_by_role("button", name="Upload", exact=True).click()


def test_a_zip_is_uploaded_and_each_of_its_files_edited(login: Page) -> None:
    upload(login, zipped(main="import helpers\n", helpers="WORD = 'namaste'\n"))
    expect(login.get_by_role("heading", name="Pairs", exact=True)).to_be_visible()
    login.locator("strategy-page:defined").wait_for()
    login.get_by_role("tab", name="Code").click()
    code = login.locator("#panel-code")
    expect(code.get_by_label("File", exact=True)).to_have_value("main.py")
    expect(code.locator(".cm-content")).to_contain_text("import helpers")
    code.get_by_label("File", exact=True).select_option("helpers.py")
    expect(code.locator(".cm-content")).to_contain_text("namaste")
    code.locator(".cm-content").click()
    login.keyboard.press("Control+End")
    login.keyboard.type("MORE = (")
    code.get_by_label("File", exact=True).select_option("main.py")
    expect(login.get_by_text("Save helpers.py first")).to_be_visible()
    expect(code.get_by_label("File", exact=True)).to_have_value("helpers.py")
    code.get_by_role("button", name="Save").click()
    expect(login.get_by_text("Saved as a draft: helpers.py, line 2 is not Python.")).to_be_visible()
    expect(login.get_by_text("Line 2 of helpers.py is not Python")).to_be_visible()
    expect(code.locator(".cm-problem")).to_contain_text("MORE")


def test_a_draft_opens_at_the_file_that_has_the_problem(login: Page) -> None:
    upload(login, zipped(main="import helpers\n", helpers="A = 1\nif A\n"))
    code = login.locator("#panel-code")
    expect(code.get_by_label("File", exact=True)).to_have_value("helpers.py")
    expect(code.locator(".cm-problem")).to_contain_text("if A")


def test_a_strategy_is_replaced_by_a_zip_and_back_by_a_script(login: Page, server: Server) -> None:
    login.goto(f"/python/edit/{server.ids['stopped']}")
    code = login.locator("#panel-code")
    chooser = code.get_by_label("Replace all files by a .py or .zip")
    expect(code.locator(".cm-content")).to_contain_text("EMA crossover")
    chooser.set_input_files(zipped(main="import other\n", other="B = 2\n"))
    expect(login.get_by_text("Saved as a new version.")).to_be_visible()
    expect(code.locator(".cm-content")).to_contain_text("import other")
    expect(code.get_by_label("File", exact=True)).to_have_value("main.py")
    script = FilePayload(name="one.py", mimeType="text/x-python", buffer=b"print('one')\n")
    chooser.set_input_files(script)
    expect(code.locator(".cm-content")).to_contain_text("print('one')")
    expect(code.get_by_label("File", exact=True)).to_be_hidden()
    expect(code.get_by_role("heading", name="one.py")).to_be_visible()


def test_a_bad_zip_is_refused_at_its_field(login: Page, watched: Watched) -> None:
    upload(login, zipped(ema="print(1)\n"))
    expect(login.locator("#file-error")).to_contain_text("no main.py at the top of the zip")
    watched.forget()


def test_an_environment_is_shown_while_it_is_made(login: Page, server: Server) -> None:
    made = server.ids["running"]
    put = server.stage.environments.put
    server.do(put, made, MAKING)
    login.goto(f"/python/{made}")
    card = login.get_by_role("region", name="Environment")
    expect(card).to_contain_text("Being made")
    expect(card.get_by_role("status")).to_have_text("Resolving packages")
    expect(card.get_by_role("button", name="Make again")).to_be_disabled()
    server.do(put, made, replace(MAKING, line="Downloading scipy (35.1MiB)"))
    expect(card.get_by_role("status")).to_have_text("Downloading scipy (35.1MiB)")
    server.do(put, made, replace(MAKING, state=State.READY, facts=FACTS, line=""))
    expect(card).to_contain_text("Ready")
    expect(card).to_contain_text("3.12.1")
    card.get_by_text("3 installed").click()
    expect(card.get_by_text("scipy 1.16.0", exact=True)).to_be_visible()
    server.do(put, made, replace(MAKING, state=State.FAILED, error=ERROR))
    expect(card.get_by_label("What uv said")).to_have_text(ERROR)
    card.get_by_role("button", name="Make again").click()
    expect(card).to_contain_text("Being made")


def test_the_built_in_environment_is_one_line(login: Page, server: Server) -> None:
    """Rows of dashes would look as if something were missing."""
    made, put = server.ids["stopped"], server.stage.environments.put
    line = f"Built in: Python {platform.python_version()} and the packages that come with"
    login.goto(f"/python/{made}")
    card = login.get_by_role("region", name="Environment")
    expect(card.get_by_text(line)).to_be_visible()
    expect(card.locator("dl")).to_be_hidden()
    server.do(put, made, replace(MAKING, state=State.READY, facts=FACTS, line=""))
    expect(card.locator("dl")).to_be_visible()
    expect(card.get_by_text(line)).to_be_hidden()
    server.do(put, made, EnvironmentView(state=State.BUILT_IN))
    expect(card.get_by_text(line)).to_be_visible()
    expect(card.locator("dl")).to_be_hidden()


def test_requirements_are_typed_taken_from_a_file_and_refused(
    login: Page, server: Server, watched: Watched
) -> None:
    login.goto(f"/python/{server.ids['stopped']}")
    card = login.get_by_role("region", name="Environment")
    expect(card).to_contain_text("Built in")
    card.get_by_text("Requirements of this strategy").click()
    field = card.get_by_label("One package a line, as in requirements.txt")
    field.fill("-r /etc/passwd")
    card.get_by_role("button", name="Save requirements").click()
    expect(card.locator("#requirements-error")).to_contain_text("options cannot stand there")
    watched.forget()
    file = FilePayload(name="requirements.txt", mimeType="text/plain", buffer=b"scipy\n")
    card.get_by_label("Take a file").set_input_files(file)
    expect(field).to_have_value("scipy\n")
    card.get_by_role("button", name="Save requirements").click()
    expect(login.get_by_text("The requirements were saved.")).to_be_visible()
    expect(card).to_contain_text("openalgo, scipy")
    expect(card.locator("#requirements-error")).to_be_empty()


def test_packages_are_allowed_by_an_administrator_who_has_seen_them(
    login: Page, server: Server, watched: Watched
) -> None:
    made, put = server.ids["waiting"], server.stage.environments.put
    waits = EnvironmentView(state=State.NOT_ALLOWED, asked=ASKED, proposed=PROPOSED)
    login.goto(f"/python/{made}")
    card = login.get_by_role("region", name="Environment")
    allow = card.get_by_role("button", name="Allow these packages")
    expect(allow).to_be_hidden()
    server.do(put, made, waits)
    expect(card).to_contain_text("Not allowed yet")
    expect(card).to_contain_text("3 resolved")
    allow.click()
    dialog = login.get_by_role("dialog", name="Allow these packages?")
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["numpy 2.4.6", "openalgo 2.0.5", "scipy 1.16.0"]
    )
    dialog.get_by_role("button", name="Do not allow").click()
    expect(card).to_contain_text("Not allowed yet")
    # they become others while the question is open: what was seen is not what is there
    allow.click()
    server.do(put, made, replace(waits, proposed=replace(PROPOSED, key="cd" * 32)))
    dialog.get_by_role("button", name="Allow", exact=True).click()
    expect(login.get_by_text("The packages have changed since you looked.")).to_be_visible()
    watched.forget()
    allow.click()
    dialog.get_by_role("button", name="Allow", exact=True).click()
    expect(card.locator("[data-word]")).to_have_text("Ready")
    expect(card.locator("[data-allowed]")).to_have_text(NAME)
    expect(allow).to_be_hidden()
