"""What a strategy asks for, and what may not be asked: requirements come from users."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algohost.domain.errors import Invalid
from algohost.host import requirements
from algohost.host.requirements import Origin, Requirements

SCRIPT = """# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "ta-lib-python==0.5",
# ]
# ///
print("namaste")
"""


def asked(script: str = "", *, file: str = "", typed: str = "") -> Requirements | None:
    files = {"requirements.txt": file.encode()} if file else {}
    return requirements.of(script, files, typed)


def test_a_script_that_asks_for_nothing_has_the_built_in_environment() -> None:
    assert asked("print(1)\n") is None
    assert asked("print(1)\n", file="# only a comment\n\n", typed=" \n") is None


def test_the_metadata_of_a_script_is_read() -> None:
    found = asked(SCRIPT)
    assert found is not None
    assert found.lines == ("openalgo", "ta-lib-python==0.5")
    assert (found.python, found.bounded_python) == (">=3.12", ">=3.12,>=3.11")
    assert found.origin is Origin.SCRIPT


def test_typed_wins_over_the_file_and_the_file_over_the_script() -> None:
    both = asked(SCRIPT, file="six\n", typed="attrs>=23\n")
    file = asked(SCRIPT, file="six  # of ours\n")
    assert both is not None
    assert file is not None
    assert (both.lines, both.origin) == (("attrs>=23", "openalgo"), Origin.TYPED)
    assert (file.lines, file.origin) == (("openalgo", "six"), Origin.FILE)
    assert both.python == file.python == ">=3.12"


@pytest.mark.parametrize("line", ["openalgo==1.0.47", "OpenAlgo>=1", "openalgo [x] ~= 1.0"])
def test_the_client_is_added_unless_it_is_named(line: str) -> None:
    found = asked(typed=line)
    assert found is not None
    assert found.lines == (line,)


def test_the_same_in_another_order_is_the_same() -> None:
    one, two = asked(typed="six\nattrs\n# x\n"), asked(file="attrs\r\n\r\nsix # y\r\n")
    assert one is not None
    assert two is not None
    assert one.id == two.id


@pytest.mark.parametrize(
    "line",
    [
        "six",
        "six==1.16.0",
        "scikit-learn[alldeps] >=1.4, <2 ; python_version >= '3.11'",
        "zope.interface!=6.*",
        "six @ https://example.org/six-1.16.0-py2.py3-none-any.whl",
        "six (>=1.0)",
    ],
)
def test_names_versions_markers_and_https_pass(line: str) -> None:
    assert requirements.check(line) == f"{line}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("-r /etc/passwd", "options cannot stand there"),
        ("--index-url http://10.0.0.1/simple", "options cannot stand there"),
        ("-e .", "options cannot stand there"),
        ("--find-links /", "options cannot stand there"),
        ("./mine", "only names of packages"),
        ("/etc/passwd", "only names of packages"),
        ("~/secrets", "only names of packages"),
        ("lib/mine.whl", "only names of packages"),
        ("x @ file:///etc/passwd", "only names of packages"),
        ("x @ http://10.0.0.1/x.whl", "only names of packages"),
        ("x @ git+https://example.org/x", "only names of packages"),
        ("https://example.org/x.whl", "only names of packages"),
        ("x @ https://example.org/${UV_INDEX_PASSWORD}", "variables cannot stand there"),
        ("${HOME}", "only names of packages"),
        ("six \\", "hashes are not supported"),
        ("six==1.16 --hash=sha256:00", "hashes are not supported"),
        ("a" * 401, "only names of packages"),
    ],
)
def test_what_could_read_the_host_or_ask_elsewhere_is_refused(line: str, said: str) -> None:
    """S7: a requirement is a name, never a path or an option of the resolver."""
    with pytest.raises(Invalid, match="Line 2 of the requirements") as refused:
        requirements.check(f"six\n{line}\n")
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("# /// script\n# dependencies = [\n# ///\n", "is not TOML"),
        (f"{SCRIPT}\n{SCRIPT}", "more than one"),
        ("# /// script\n# dependencies = 'six'\n# ///\n", "not a list"),
        ("# /// script\n# dependencies = [1]\n# ///\n", "not a list"),
        ("# /// script\n# requires-python = '$(reboot)'\n# ///\n", "no version specifier"),
        ("# /// script\n# requires-python = 3.12\n# ///\n", "no version specifier"),
        ("# /// script\n# dependencies = ['-r x']\n# ///\n", "options cannot"),
    ],
)
def test_bad_metadata_is_refused_with_a_sentence(script: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        requirements.of(script, {}, "")
    assert said in refused.value.message


@pytest.mark.parametrize(("written", "meant"), [("3.12", "==3.12.*"), ("3.12.1", "==3.12.1")])
def test_a_bare_version_of_python_means_that_one(written: str, meant: str) -> None:
    found = asked(f"# /// script\n# requires-python = '{written}'\n# ///\n")
    assert found is not None
    assert found.python == meant


# PEP 723 gives this expression, which takes minutes for some files
OF_THE_PEP = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
LINES = ["# /// script", "# /// a", "# ///", "#", "# x = 1", "#x", "", "x = 1", "# /// ", "#  ///"]


@given(st.lists(st.sampled_from(LINES), max_size=14), st.sampled_from(["", "\n"]))
def test_the_blocks_of_a_script_are_those_that_the_pep_names(lines: list[str], end: str) -> None:
    script = "\n".join(lines) + end
    expected = [
        (match["type"], match["content"].rstrip("\n").split("\n"))
        for match in OF_THE_PEP.finditer(script)
    ]
    assert requirements.blocks(script) == expected


@pytest.mark.parametrize(
    "script",
    [
        "# /// a\n" * 120_000,
        "# /// a\n#\n" * 80_000,
        "# /// script\n" + "#\n" * 500_000,
        "# /// a\n# ///\n" * 60_000,
    ],
)
def test_a_megabyte_of_beginnings_without_an_end_is_read_in_one_pass(script: str) -> None:
    """S8: the expression of the PEP would not be through within the time that a test has."""
    requirements.inline(script)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("# " + ".".join("a" * 16_000) + " = 1", "in one line"),
        ("# \n" * 40_000 + "# y = 2", "32,768 characters"),
        ("# x = " + "[" * 1_900, "nested too deeply"),
    ],
)
def test_a_block_that_would_take_long_to_read_is_refused(block: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        requirements.inline(f"# /// script\n{block}\n# ///\n")
    assert said in refused.value.message


@given(st.text(max_size=200))
def test_no_text_passes_that_is_no_name_first(text: str) -> None:
    """S7: whatever is typed, each line that passes begins with a package's name."""
    try:
        found = asked(typed=text)
    except Invalid:
        return
    for line in found.lines if found else ():
        assert line[0].isascii()
        assert line[0].isalnum()
        assert "://" not in line or "@ https://" in line or "@https://" in line
