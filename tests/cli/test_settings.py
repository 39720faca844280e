"""Where each setting's value comes from, and what is said of one that cannot be accepted."""

import os
from pathlib import Path

import pytest

from algohost import locate
from algohost.domain.errors import Invalid
from algohost.settings import Settings, load


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    ours = [name for name in os.environ if name.startswith("ALGOHOST_")]
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", *ours):
        monkeypatch.delenv(name, raising=False)
    return home


def write_config(home: Path, text: str) -> Path:
    file = home / ".config/algohost/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_without_anything_said_the_defaults_hold(empty_home: Path) -> None:
    loaded = load()
    assert loaded.settings.data_dir == empty_home / ".local/share/algohost"
    assert loaded.settings.web_url == "http://127.0.0.1:5000"
    assert loaded.settings.feed_url == "ws://127.0.0.1:8765"
    assert set(loaded.origins.values()) == {"default"}


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_config(empty_home, "port = 5001\nfeed_port = 5002\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("ALGOHOST_PORT", "5003")
    monkeypatch.setenv("ALGOHOST_FEED_PORT", "5004")
    loaded = load({"port": 5005, "market": None})
    settings, origins = loaded.settings, loaded.origins
    assert (settings.port, origins["port"]) == (5005, "flag --port")
    assert (settings.feed_port, origins["feed_port"]) == (5004, "ALGOHOST_FEED_PORT")
    assert (settings.host, origins["host"]) == ("127.0.0.2", str(file))
    assert (settings.market, origins["market"]) == ("synthetic", "default")


def test_a_named_configuration_file_replaces_the_default_one(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(empty_home, "port = 5001\n")
    by_variable, by_flag = tmp_path / "a.toml", tmp_path / "b.toml"
    by_variable.write_text("port = 5002\n")
    by_flag.write_text("port = 5003\n")
    monkeypatch.setenv("ALGOHOST_CONFIG", str(by_variable))
    assert load().settings.port == 5002
    assert load(config=by_flag).settings.port == 5003


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALGOHOST_PORT", "eleven", "port (from: ALGOHOST_PORT) is 'eleven'"),
        ("ALGOHOST_PORT", "70000", "less than or equal to 65535"),
        ("ALGOHOST_LAUNCHER", "docker", "launcher (from: ALGOHOST_LAUNCHER) is 'docker'"),
        ("ALGOHOST_STOP_GRACE_SECONDS", "-1", "greater than or equal to 0"),
        ("ALGOHOST_MARKET", "nse", "give 'synthetic', or 'recorded:' and the path"),
        ("ALGOHOST_MARKET", "recorded:", "give 'synthetic', or 'recorded:' and the path"),
    ],
)
def test_a_value_that_cannot_be_accepted_is_refused_with_its_origin(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Invalid) as refusal:
        load()
    assert said in refusal.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1\n", "sets 'prot', which is no setting; did you mean port."),
        ("zzz = 1\n", "'algohost config' lists the settings"),
        ("port = \n", "is not TOML"),
        ("port = 'x'\n", "The setting port (from: "),
    ],
)
def test_a_configuration_file_that_cannot_be_used_is_named(
    text: str, said: str, empty_home: Path
) -> None:
    file = write_config(empty_home, text)
    with pytest.raises(Invalid) as refusal:
        load()
    assert said in refusal.value.message
    assert str(file) in refusal.value.message


def test_a_missing_configuration_file_is_an_error_only_where_somebody_named_it(
    tmp_path: Path,
) -> None:
    load()
    with pytest.raises(Invalid, match="cannot be read"):
        load(config=tmp_path / "none.toml")


def test_a_misspelt_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOHOST_PROT", "1")
    assert load().unknown_variables == ("ALGOHOST_PROT",)


def test_public_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALGOHOST_PUBLIC_HOSTS", "a.example, b.example,")
    assert load().settings.public_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:5000"),
        ("::", "http://[::1]:5000"),
        ("::1", "http://[::1]:5000"),
        ("192.168.1.5", "http://192.168.1.5:5000"),
    ],
)
def test_the_printed_address_is_one_that_a_browser_can_open(host: str, url: str) -> None:
    assert load({"host": host}).settings.web_url == url


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description is not None, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    ("flag", "variable", "in_file", "xdg"),
    [
        (None, None, None, None),
        (None, None, None, "/xdg/data"),
        (None, None, None, "relative/ignored"),
        (None, None, "~/from-file", "/xdg/data"),
        (None, "~/from-variable", "~/from-file", None),
        ("relative/flag", "~/from-variable", "~/from-file", None),
        ("/a/../flag", None, None, None),
        (None, "", "/from/file", None),
    ],
)
def test_the_light_search_for_the_data_directory_finds_what_the_settings_find(
    flag: str | None,
    variable: str | None,
    in_file: str | None,
    xdg: str | None,
    empty_home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commands that talk to the server skip the settings; they must not look elsewhere."""
    if variable is not None:
        monkeypatch.setenv("ALGOHOST_DATA_DIR", variable)
    if in_file is not None:
        write_config(empty_home, f'data_dir = "{in_file}"\n')
    if xdg is not None:
        monkeypatch.setenv("XDG_DATA_HOME", xdg)
    path = Path(flag) if flag else None
    assert locate.data_dir(path) == load({"data_dir": path}).settings.data_dir


def test_a_time_of_the_day_that_is_none_is_refused_with_an_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALGOHOST_PAPER_LOGIN_UNTIL", "half past three")
    with pytest.raises(Invalid) as refused:
        load()
    assert refused.value.message == (
        "The setting paper_login_until (from: ALGOHOST_PAPER_LOGIN_UNTIL) is 'half past three':"
        " “half past three” is not a time of the day; write HH:MM in IST, such as 03:30."
    )
