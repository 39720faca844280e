"""What can be set, with where each value came from: flag, environment, file or default.

A flag wins over the environment (``ALGOHOST_PORT``), which wins over the configuration file
(``port = 5001``), which wins over the default. The places of the file and of the data are found
by ``algohost.locate``, which commands that only talk to the server use alone.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from algohost import locate
from algohost.domain.broker_sessions import parse_logout_time
from algohost.domain.errors import Invalid
from algohost.domain.reach import networks_of

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Everything about a server that can be set. Made by ``load``; read-only."""

    model_config = SettingsConfigDict(
        env_prefix="ALGOHOST_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    data_dir: Path = Field(
        default_factory=locate.default_data_dir,
        description="Folder with the database, logs and strategies' work folders.",
    )
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address the pages and the API listen on.",
    )
    port: Port = Field(default=5000, description="Port of the pages and the API.")
    feed_port: Port = Field(default=8765, description="Port of the WebSocket feed.")
    public_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names by which browsers may call the server, beyond its own address; "
        "separated by commas.",
    )
    market: str = Field(
        default="synthetic",
        description="Where prices come from: 'synthetic', or 'recorded:FILE' with a Parquet file; "
        "'recorded:FILE?day=2021-05-27&speed=10&from=10:00' says which day, how fast, from when.",
    )
    market_seed: int = Field(
        default=1, ge=0, description="Seed of the synthetic market: the same seed, the same prices."
    )
    launcher: Literal["auto", "zygote", "subprocess"] = Field(
        default="auto",
        description="How strategies are started: from a warm process (zygote), as a plain "
        "subprocess, or whichever this machine can (auto).",
    )
    accelerate_client: bool = Field(
        default=True,
        description="Whether hosted scripts get pooled connections in the openalgo client.",
    )
    stop_grace_seconds: float = Field(
        default=10.0,
        ge=0,
        le=600,
        description="How long a strategy may take to end by itself after it was asked to stop.",
    )
    paper_login_until: str = Field(
        default="",
        description="At which time of the day in IST a login to the paper account ends, as Indian "
        "brokers do it; nothing for never.",
    )
    broker_warning_minutes: int = Field(
        default=30,
        ge=0,
        le=1440,
        description="How many minutes before a broker session ends people are told.",
    )
    environment_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="After how many days an environment that no strategy asks for is removed.",
    )
    environment_builds: bool = Field(
        default=False,
        description="Whether packages may come as source, whose own code runs while it is built.",
    )
    api_calls_per_second: float = Field(
        default=50.0,
        ge=0,
        description="How many API calls one key may make in a second, other than orders; 0 for any "
        "number.",
    )
    orders_per_second: float = Field(
        default=10.0,
        ge=0,
        description="How many orders one key may send in a second; 0 for any number.",
    )
    smart_orders_per_second: float = Field(
        default=10.0,
        ge=0,
        description="How many smart orders one key may send in a second; 0 for any number.",
    )
    notice_private_networks: bool = Field(
        default=False,
        description="Whether notifications may go to addresses of private networks and of this "
        "host itself.",
    )
    live_networks: str = Field(
        default="",
        max_length=2_000,
        description="Addresses and networks, separated by commas, where the OpenAlgo servers of "
        "everybody's live accounts may be, besides public addresses: 192.168.1.20, 10.0.0.0/8. "
        "Those of administrators' accounts may be on this host and any private network.",
    )
    live_orders_per_second: int = Field(
        default=10,
        ge=0,
        le=1000,
        description="How many orders a second go from one live account to one exchange; what is "
        "more waits for its turn. 0 for any number.",
    )
    paper_fills: Literal["honest", "optimistic"] = Field(
        default="honest",
        description="How paper orders trade: with sizes, queues and the way to the exchange "
        "(honest), or whole and at once at the best price shown (optimistic).",
    )
    paper_charges: Literal["published", "none"] = Field(
        default="published",
        description="Whether paper trades cost what brokers, exchanges and the state take "
        "(published), or nothing (none).",
    )
    paper_brokerage: float = Field(
        default=20.0,
        ge=0,
        description="What a paper order pays the broker at most, in rupees; 0 for nothing.",
    )
    paper_brokerage_percent: float = Field(
        default=0.03,
        ge=0,
        le=5,
        description="What a paper order pays the broker up to that, in percent of its value.",
    )
    paper_brokerage_delivery: bool = Field(
        default=False, description="Whether shares for delivery pay the broker too."
    )
    square_off_minutes: int = Field(
        default=15,
        ge=0,
        le=360,
        description="So many minutes before a session ends paper MIS positions are closed; 0 for "
        "never.",
    )
    square_off_minutes_commodities: int = Field(
        default=25,
        ge=0,
        le=360,
        description="The same for MCX and NCO.",
    )
    paper_orders_per_second: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="The same for paper accounts, to rehearse it; 0 for any number.",
    )
    most_memory_mb: int = Field(
        default=8192,
        ge=0,
        description="How many MB of memory a user may let a strategy have; 0 is as many as they "
        "like. Administrators are free, here and in the following.",
    )
    most_threads: int = Field(
        default=4096, ge=0, description="How many threads a user may let a strategy have."
    )
    most_open_files: int = Field(
        default=16_384, ge=0, description="How many open files a user may let a strategy have."
    )
    most_disk_mb: int = Field(
        default=10_240,
        ge=0,
        description="How many MB a user may let a strategy's working folder hold.",
    )
    most_log_mb: int = Field(
        default=1024, ge=0, description="How many MB a user may let the log of one run hold."
    )
    usage_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=300,
        description="How often it is measured what the strategies use.",
    )
    busy_seconds: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="A strategy that keeps a core busy for so long is flagged, with the line it "
        "is at.",
    )
    log_keep_runs: int = Field(
        default=100,
        ge=0,
        description="Of how many runs of each strategy the logs are kept; 0 is no bound.",
    )
    log_keep_days: int = Field(
        default=30, ge=0, description="For how many days logs are kept; 0 is no bound."
    )
    log_keep_mb: int = Field(
        default=1024,
        ge=0,
        description="How many MB the logs of each strategy may take up together; 0 is no bound.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much the server writes to its own log."
    )

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return locate.absolute(value)

    @field_validator("public_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("market")
    @classmethod
    def _market(cls, value: str) -> str:
        kind, _, file = value.partition(":")
        if kind == "synthetic" or (kind == "recorded" and file):
            return value
        message = "give 'synthetic', or 'recorded:' and the path of a Parquet file"
        raise ValueError(message)

    @field_validator("live_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            networks_of(value)
        except ValueError as error:
            message = f"give addresses and networks, such as 192.168.1.20, 10.0.0.0/8: {error}"
            raise ValueError(message) from error
        return value

    @field_validator("paper_login_until")
    @classmethod
    def _time_of_day(cls, value: str) -> str:
        try:
            parse_logout_time(value)
        except Invalid as error:
            raise ValueError(error.message.rstrip(".")) from error
        return value

    @property
    def web_url(self) -> str:
        """The address of the pages, as a person on this machine would type it."""
        return f"http://{_reachable(self.host)}:{self.port}"

    @property
    def feed_url(self) -> str:
        """The address of the WebSocket feed."""
        return f"ws://{_reachable(self.host)}:{self.feed_port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given, then the environment: no ``.env`` file of some folder is picked up."""
        return (init_settings, env_settings)


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Settings, and for each its origin in words."""

    settings: Settings
    origins: Mapping[str, str]
    """``flag --port``, ``ALGOHOST_PORT``, the path of the configuration file, or ``default``."""
    config_file: Path | None
    unknown_variables: tuple[str, ...]
    """Variables that begin with ALGOHOST_ and name nothing: probably misspelt."""


def load(flags: Mapping[str, object] | None = None, *, config: Path | None = None) -> Loaded:
    """The settings in force. ``flags`` that are None were not given.

    Raises ``Invalid`` with a sentence that names the setting, where its value came from and what
    is wrong with it; also where the configuration file is missing, is not TOML or says something
    that is not a setting.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    file = locate.config_file(config)
    in_file = locate.read_config(file) if file is not None else {}
    _refuse_unknown(in_file, file)
    variables = {name.upper() for name, value in os.environ.items() if value != ""}
    origins = {}
    for name in Settings.model_fields:
        if name in given:
            origins[name] = f"flag --{name.replace('_', '-')}"
        elif variable_name(name) in variables:
            origins[name] = variable_name(name)
        else:
            origins[name] = str(file) if name in in_file else "default"
    from_file = {n: v for n, v in in_file.items() if origins[n] == str(file)}
    try:
        settings = Settings(**{**from_file, **given})
    except ValidationError as error:
        raise _in_words(error, origins) from error
    known = {variable_name(name) for name in Settings.model_fields} | locate.OTHER_VARIABLES
    unknown = sorted(v for v in variables if v.startswith("ALGOHOST_") and v not in known)
    return Loaded(
        settings=settings, origins=origins, config_file=file, unknown_variables=tuple(unknown)
    )


def variable_name(setting: str) -> str:
    """The environment variable of a setting."""
    return f"ALGOHOST_{setting.upper()}"


def _refuse_unknown(in_file: Mapping[str, object], file: Path | None) -> None:
    for name in in_file:
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"did you mean {near[0]}" if near else "'algohost config' lists the settings"
            message = f"The configuration file {file} sets {name!r}, which is no setting; {hint}."
            raise Invalid(message, code="CONFIG")


def _in_words(error: ValidationError, origins: Mapping[str, str]) -> Invalid:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    said = first["msg"].removeprefix("Value error, ")
    said = said[:1].lower() + said[1:]
    return Invalid(
        f"The setting {name} (from: {origins.get(name, 'default')}) is {first['input']!r:.80}: "
        f"{said}.",
        code="CONFIG",
    )


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", ""}:  # noqa: S104 - compared with, not bound
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host
