"""Environment variables in, one validated, frozen Settings out; every problem is reported together; pure."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HEADWATER_"
PASSWORD = re.compile(r"(?<=://).*@|^[^/]*@", re.DOTALL)
"""User and password before the host of a URL."""


class Settings(BaseSettings):
    """Read once by each process's ``__main__``, which hands the values on.

    Raises pydantic's ``ValidationError``, which names every wrong variable at once.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(Path(".headwater"), description="Where state, logs and pid files lie.")
    host: str = Field("127.0.0.1", description="Address the public port listens on; loopback by default.")
    public_dev_keys: bool = Field(
        False, description="Whether the published keys may be valid at an address that is not loopback."
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#]+)?$",
        description="Base URL of the public port (https://events.example.com); empty: that of each request.",
    )
    sns_url: str = Field(
        "",
        description="Address of Amazon SNS for certificates and confirmations; empty: the address in its messages.",
    )
    port: int = Field(8000, ge=1, le=65535, description="The public port: writes and reads.")
    query_host: str = Field(
        "127.0.0.1",
        description="Address the read API listens on, for edges elsewhere; loopback by default.",
    )
    query_port: int = Field(8001, ge=1, le=65535, description="Port of the read API behind the public one.")
    kafka_port: int = Field(
        19092, ge=1, le=65534, description="Port of the embedded broker; its controller takes the next one."
    )
    clickhouse_port: int = Field(18123, ge=1, le=65535, description="Port of the embedded ClickHouse front.")
    clickhouse_floor_mib: int = Field(
        512, ge=0, description="MiB of free disk below which the embedded ClickHouse writes and merges nothing."
    )

    kafka_bootstrap_servers: str = Field(
        "",
        validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS", PREFIX + "KAFKA_BOOTSTRAP_SERVERS"),
        description="A Kafka cluster of your own; empty: the embedded broker is started.",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How every client reaches Kafka: `PLAINTEXT`, `SSL` or `SASL_SSL`."
    )
    kafka_sasl_mechanism: Literal["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "", description="With `SASL_SSL`: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`."
    )
    kafka_username: str = Field("", description="User of `PLAIN` and `SCRAM`.")
    kafka_password: str = Field("", repr=False, description="The user's password.")
    kafka_password_file: str = Field("", description="A file with the user's password, in place of the variable.")
    kafka_token_provider: str = Field(
        "",
        pattern=r"^([\w.]+:\w+)?$",
        description="For `OAUTHBEARER`: `package.module:function`, called without arguments for each token.",
    )
    kafka_compression: Literal["none", "lz4", "zstd"] = Field("none", description="Of records: `none`, `lz4`, `zstd`.")
    kafka_ca_file: str = Field("", description="PEM that signs the brokers' certificates; empty: the system's.")
    kafka_cert_file: str = Field("", description="The client's own certificate (PEM), where the brokers ask for one.")
    kafka_key_file: str = Field("", description="The private key of the client's certificate (PEM).")
    clickhouse_url: str = Field(
        "",
        validation_alias=AliasChoices("CLICKHOUSE_URL", PREFIX + "CLICKHOUSE_URL"),
        pattern=r"^(https?://[^/?#]+.*)?$",
        description="A ClickHouse of your own (http:// or https://user:password@host:8123); empty: the embedded one.",
    )
    clickhouse_password_file: str = Field(
        "", description="A file with the password of the user that `CLICKHOUSE_URL` names, in place of one in the URL."
    )
    clickhouse_ca_file: str = Field(
        "", description="Certificates (PEM) that sign ClickHouse's; empty: those that the system trusts."
    )
    clickhouse_cert_file: str = Field("", description="The client's own certificate (PEM) for ClickHouse.")
    clickhouse_key_file: str = Field("", description="The private key of that certificate (PEM).")
    secret_key: str = Field(
        "",
        repr=False,
        description="Seals the secrets of webhooks and receivers on `control`; a list with commas: the first seals.",
    )
    secret_key_file: str = Field("", description="A file with the secret keys, a line each, in place of the variable.")
    clickhouse_cluster: str = Field("", pattern=r"^\w*$", description="Cluster whose hosts have the tables.")
    clickhouse_shards: int = Field(1, ge=1, le=64, description="Shards of that cluster; fixed once data is in.")
    clickhouse_database: str = Field("headwater", pattern=r"^[a-z][a-z0-9_]*$", description="Database of all tables.")
    query_url: str = Field("", description="Where the edge finds the read API; empty: loopback and the query port.")
    edge_url: str = Field("", description="Where mutations find the edge; empty: loopback and the port.")
    graphql_explorer: bool = Field(False, description="Whether a browser gets the schema explorer at GET /graphql.")

    topic_prefix: str = Field("", pattern=r"^[a-z0-9.-]*$", description="Prefix of every topic and group of a stack.")
    partitions: int = Field(4, ge=1, le=256, description="Partitions of every data topic; fixed once data is in.")
    replication: int = Field(1, ge=1, le=5, description="Replication factor of every topic; 3 in production.")

    edges: int = Field(1, ge=1, le=64, description="Edges that the local supervisor starts, all on the public port.")
    identity_workers: int = Field(1, ge=1, le=64, description="Identity workers that the local supervisor starts.")
    segments_workers: int = Field(1, ge=1, le=64, description="Segments workers that the local supervisor starts.")
    webhook_senders: int = Field(1, ge=1, le=64, description="Shares of the contacts, each with a sender of webhooks.")
    worker: int = Field(0, ge=0, description="Number of this worker or edge; its membership and its disk.")
    session_timeout_s: float = Field(
        45.0, ge=6.0, le=300.0, description="Seconds after which a vanished worker's partitions are given away."
    )

    max_body_bytes: int = Field(
        5 * 1024 * 1024, ge=1024, le=32 * 1024 * 1024, description="Largest request body, decoded; at most 32 MiB."
    )
    max_event_bytes: int = Field(256 * 1024, ge=1024, description="Largest single event.")
    max_batch_events: int = Field(1000, ge=1, le=10_000, description="Most events in one request.")
    max_vendor_events: int = Field(
        10_000, ge=1, le=10_000, description="Most events in one request of a vendor's SDK, or one post of a provider."
    )
    max_depth: int = Field(32, ge=4, le=200, description="Deepest nesting of a JSON value.")
    rate_limit: int = Field(
        0,
        ge=0,
        description="Requests per second of a key without a limit of its own, at each edge; 0: unlimited.",
    )
    publish_deadline_s: float = Field(
        2.0, gt=0, le=60, description="Seconds until an event that is not durable yet is answered with 503."
    )
    read_deadline_s: float = Field(
        10.0, gt=0, le=300, description="Seconds until an unanswered read is refused with 503."
    )
    publish_buffer_bytes: int = Field(
        64 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of events in flight to Kafka before the edge answers 503; a workspace fills half.",
    )
    repeat_days: int = Field(
        7,
        ge=1,
        le=90,
        description="Days that an event's id is remembered at least, so that a copy does not count.",
    )
    block_ms: int = Field(150, ge=1, le=10_000, description="Milliseconds a sink gathers rows before an insert.")
    block_rows: int = Field(10_000, ge=1, le=1_000_000, description="Rows after which a sink inserts at once.")
    webhook_allow_private: bool = Field(
        default=False, description="Whether webhooks may go to private and loopback addresses; for development."
    )
    parity_sample: int = Field(
        100,
        ge=0,
        le=10_000,
        description="Contacts per segment whose memberships are compared with the rule in SQL; 0: none.",
    )
    parity_interval_s: float = Field(60.0, gt=0, description="Seconds between two such comparisons.")
    parity_settle_s: float = Field(10.0, ge=0, description="Seconds after which a difference is checked again.")
    squash_interval_s: float = Field(
        3600.0, ge=0, description="Seconds between two foldings of merges into event rows; 0: never."
    )
    drain_s: float = Field(
        0.0,
        ge=0,
        le=120,
        description="Seconds after SIGTERM in which a port still answers, and says that it is not ready.",
    )
    ready_file: str = Field("", description="A file that a process creates when it is ready; the supervisor sets it.")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="Port on which this process answers `GET /metrics` without a key; 0: none."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port; loopback unless you say so.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Lowest level that is logged.")
    log_format: str = Field("auto", pattern="^(auto|json|text)$", description="`auto`: text on a terminal, else JSON.")

    @cached_property
    def embeds_kafka(self) -> bool:
        """Whether the broker is the local stack's own."""
        return not self.kafka_bootstrap_servers

    @cached_property
    def bootstrap(self) -> str:
        return self.kafka_bootstrap_servers or f"127.0.0.1:{self.kafka_port}"

    @model_validator(mode="after")
    def _kafka_is_complete(self) -> Self:
        problems = _kafka_problems(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @cached_property
    def secret_keys(self) -> list[str]:
        """Keys that seal secrets, the sealing key first: from the variable, the file, or the local stack's file."""
        text = self.secret_key
        for file in (Path(self.secret_key_file), self.home / "secret.key") if not text else ():
            if file.is_file():
                text = file.read_text()
                break
        return [key for part in text.splitlines() for key in map(str.strip, part.split(",")) if key]

    @cached_property
    def clickhouse(self) -> str:
        """ClickHouse's URL; for the embedded database with the password that it generated."""
        if self.clickhouse_url:
            return self.clickhouse_url
        password = self.home / "clickhouse.password"
        user = f"headwater:{password.read_text().strip()}@" if password.exists() else ""
        return f"http://{user}127.0.0.1:{self.clickhouse_port}"

    @cached_property
    def clickhouse_interface(self) -> str:
        """``http`` or ``https``, for the driver, which would otherwise choose by the port alone."""
        return self.clickhouse.partition(":")[0]

    @cached_property
    def query(self) -> str:
        return self.query_url or f"http://127.0.0.1:{self.query_port}"

    @cached_property
    def edge(self) -> str:
        return self.edge_url or f"http://127.0.0.1:{self.port}"


OTHERS = frozenset(
    {
        *("HEADWATER_URL", "HEADWATER_KEY", "HEADWATER_KEY_FILE", "HEADWATER_PROFILE"),
        *("HEADWATER_CRASH_AT", "HEADWATER_REQUIRE_TIERS"),
    }
)
"""Variables that are read elsewhere: the command line's address and key, and those of the tests."""


def _kafka_problems(settings: Settings) -> list[str]:
    """Missing and ineffective variables of Kafka's security."""
    protocol, mechanism = settings.kafka_security_protocol, settings.kafka_sasl_mechanism
    problems = []
    if protocol == "SASL_SSL" and not mechanism:
        problems.append("SASL_SSL needs HEADWATER_KAFKA_SASL_MECHANISM")
    if mechanism and protocol != "SASL_SSL":
        problems.append("HEADWATER_KAFKA_SASL_MECHANISM needs HEADWATER_KAFKA_SECURITY_PROTOCOL=SASL_SSL")
    if mechanism == "OAUTHBEARER" and not settings.kafka_token_provider:
        problems.append("OAUTHBEARER needs HEADWATER_KAFKA_TOKEN_PROVIDER")
    has_user = settings.kafka_username and (settings.kafka_password or settings.kafka_password_file)
    if mechanism not in ("", "OAUTHBEARER") and not has_user:
        problems.append(
            f"{mechanism} needs HEADWATER_KAFKA_USERNAME, and HEADWATER_KAFKA_PASSWORD or HEADWATER_KAFKA_PASSWORD_FILE"
        )
    if bool(settings.kafka_cert_file) != bool(settings.kafka_key_file):
        problems.append("HEADWATER_KAFKA_CERT_FILE and HEADWATER_KAFKA_KEY_FILE go together")
    if protocol == "PLAINTEXT" and (settings.kafka_ca_file or settings.kafka_cert_file):
        problems.append("certificates need HEADWATER_KAFKA_SECURITY_PROTOCOL=SSL or SASL_SSL")
    return problems


def variable(name: str) -> str:
    """The variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else PREFIX + name.upper()


def strangers(environment: Iterable[str]) -> list[tuple[str, str]]:
    """Returns the unknown variables with Headwater's prefix, each with the nearest known one (or an empty text)."""
    settings = [name.upper() for name in Settings.model_fields]
    names = {PREFIX + name for name in settings} | OTHERS
    unknown = []
    for name in sorted(name for name in environment if name.startswith(PREFIX) and name.upper() not in names):
        nearest = get_close_matches(name.removeprefix(PREFIX).upper(), settings, 1)
        unknown.append((name, PREFIX + nearest[0] if nearest else ""))
    return unknown


def complaints(error: ValidationError) -> list[str]:
    """A line for each wrong value, with its variable."""
    names = {str(choice): variable(name) for name in Settings.model_fields for choice in (name, variable(name))}
    lines = []
    for problem in error.errors(include_url=False):
        if not problem["loc"]:  # of several variables: the input is all of them, passwords too
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        place = str(problem["loc"][0])
        value = PASSWORD.sub("***@", str(problem["input"]))
        lines.append(f"{names.get(place, place)}={value:.100}: {problem['msg']}")
    return lines


def markdown_table() -> str:
    """The README's table of settings; a test compares them."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "-" if field.default == "" else f"`{field.default}`"
        rows.append(f"| `{variable(name)}` | {default} | {field.description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(markdown_table())  # noqa: T201 - this is the command that writes the README's table
