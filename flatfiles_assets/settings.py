"""Every setting, from the environment or a `.env` file, read when asked for and never at import.

Here: names, defaults, aliases and the paths derived from them. Secrets are `SecretStr` and appear
in no representation. Not here: which of several sources holds (`settings_sources.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from flatfiles_assets.errors import InvalidArgument, MissingCredentials
from flatfiles_assets.escaping import keep_secret
from flatfiles_assets.settings_sources import Variables, forget_empty

#: Longest wait for the warehouse where nothing else is said.
DEFAULT_LOCK_TIMEOUT_SECONDS = 300.0

AddressingStyle = Literal["path", "virtual"]


def _setting(default: Any, *names: str) -> Any:
    """A field read from any of these environment variables, the first that is set."""
    return Field(default=default, validation_alias=AliasChoices(*names))


class Settings(BaseSettings):
    """Settings of the whole package.

    Construct it with keyword arguments to override (field names), or without to read the
    environment and `.env`.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        populate_by_name=True,
        frozen=True,
        hide_input_in_errors=True,  # A refused value may be a secret.
    )

    endpoint_url: str = _setting(
        "https://files.polygon.io",
        "FLATFILES_ENDPOINT_URL",
        "POLYGON_S3_ENDPOINT",
        "POLYGON_S3_ENDPOINT_URL",
        "MASSIVE_S3_ENDPOINT",
        "MASSIVE_S3_ENDPOINT_URL",
    )
    bucket: str = _setting("flatfiles", "FLATFILES_BUCKET", "POLYGON_S3_BUCKET", "MASSIVE_S3_BUCKET")
    access_key_id: SecretStr | None = _setting(
        None,
        "FLATFILES_ACCESS_KEY_ID",
        "FLATFILES_ACCESS_KEY",
        "POLYGON_S3_ACCESS_KEY",
        "POLYGON_S3_ACCESS_KEY_ID",
        "POLYGON_ACCESS_KEY_ID",
        "MASSIVE_S3_ACCESS_KEY",
        "MASSIVE_S3_ACCESS_KEY_ID",
        "MASSIVE_ACCESS_KEY_ID",
    )
    secret_access_key: SecretStr | None = _setting(
        None,
        "FLATFILES_SECRET_ACCESS_KEY",
        "FLATFILES_SECRET_KEY",
        "POLYGON_S3_SECRET_KEY",
        "POLYGON_S3_SECRET_ACCESS_KEY",
        "POLYGON_SECRET_ACCESS_KEY",
        "MASSIVE_S3_SECRET_KEY",
        "MASSIVE_S3_SECRET_ACCESS_KEY",
        "MASSIVE_SECRET_ACCESS_KEY",
    )
    session_token: SecretStr | None = _setting(None, "FLATFILES_SESSION_TOKEN")
    region: str = _setting("us-east-1", "FLATFILES_REGION", "POLYGON_S3_REGION", "MASSIVE_S3_REGION")
    addressing_style: str = _setting("path", "FLATFILES_ADDRESSING_STYLE")
    ca_bundle: Path | None = _setting(None, "FLATFILES_CA_BUNDLE")
    proxy_url: SecretStr | None = _setting(None, "FLATFILES_PROXY_URL", "FLATFILES_PROXY")
    options_prefix: str = _setting("us_options_opra", "FLATFILES_OPTIONS_PREFIX")
    max_concurrent: int = Field(
        default=8, ge=1, le=256, validation_alias=AliasChoices("FLATFILES_MAX_CONCURRENT")
    )
    max_retries: int = Field(default=5, ge=0, validation_alias=AliasChoices("FLATFILES_MAX_RETRIES"))
    timeout_seconds: float = Field(
        default=60, gt=0, validation_alias=AliasChoices("FLATFILES_TIMEOUT_SECONDS")
    )
    extra_feeds: str = _setting("", "FLATFILES_EXTRA_FEEDS")
    feeds_dir: Path | None = _setting(None, "FLATFILES_FEEDS_DIR")
    sync_start: dt.date | None = _setting(None, "FLATFILES_SYNC_START")
    sync_poll_seconds: float | None = Field(
        default=None, gt=0, validation_alias=AliasChoices("FLATFILES_SYNC_POLL_SECONDS")
    )
    test_tickers: str | None = _setting(None, "FLATFILES_TEST_TICKERS")
    extra_columns: str = _setting("ignore", "FLATFILES_EXTRA_COLUMNS")
    extra_sessions: str = _setting("", "FLATFILES_EXTRA_SESSIONS")
    extra_closures: str = _setting("", "FLATFILES_EXTRA_CLOSURES")
    accepted_sessions: str = _setting("", "FLATFILES_ACCEPTED_SESSIONS")
    failure_webhook_url: SecretStr | None = _setting(None, "FLATFILES_FAILURE_WEBHOOK_URL")

    allowed_hosts: str = _setting("", "FLATFILES_ALLOWED_HOSTS")

    source_url: str | None = _setting(None, "FLATFILES_SOURCE_URL")
    source_branch: str = _setting("main", "FLATFILES_SOURCE_BRANCH")

    minio_endpoint_url: str = _setting("http://localhost:9000", "MINIO_ENDPOINT_URL", "MINIO_ENDPOINT")
    minio_bucket: str = _setting("market-data", "MINIO_BUCKET", "MINIO_BUCKET_NAME")
    minio_access_key: SecretStr | None = _setting(
        None, "MINIO_ACCESS_KEY", "MINIO_ACCESS_KEY_ID", "MINIO_ROOT_USER"
    )
    minio_secret_key: SecretStr | None = _setting(
        None, "MINIO_SECRET_KEY", "MINIO_SECRET_ACCESS_KEY", "MINIO_ROOT_PASSWORD"
    )
    minio_session_token: SecretStr | None = _setting(None, "MINIO_SESSION_TOKEN")
    minio_region: str = _setting("us-east-1", "MINIO_REGION", "MINIO_SITE_REGION", "MINIO_REGION_NAME")
    minio_addressing_style: str = _setting("path", "MINIO_ADDRESSING_STYLE")
    # An authority of one's own may have signed for both stores: it is believed for both.
    minio_ca_bundle: Path | None = _setting(None, "MINIO_CA_BUNDLE", "FLATFILES_CA_BUNDLE")
    minio_proxy_url: SecretStr | None = _setting(None, "MINIO_PROXY_URL", "MINIO_PROXY")
    minio_historical_prefix: str | None = _setting(None, "MINIO_HISTORICAL_PREFIX")

    minio_layout_overrides: Path | None = _setting(None, "MINIO_LAYOUT_OVERRIDES")
    ignored_files: str | None = _setting(None, "FLATFILES_IGNORED_FILES")

    prices_flat_files_from: dt.date = _setting(dt.date(2003, 9, 10), "FLATFILES_PRICES_FLAT_FILES_FROM")
    prices_fill: Literal["none", "sessions", "symbols"] = _setting("sessions", "FLATFILES_PRICES_FILL")

    statement_lag_days: int = Field(
        default=90, ge=0, le=3650, validation_alias=AliasChoices("FLATFILES_STATEMENT_LAG_DAYS")
    )

    option_rate: float | None = _setting(None, "FLATFILES_OPTION_RATE")
    option_dividend_yield: float = _setting(0.0, "FLATFILES_OPTION_DIVIDEND_YIELD")

    universe_types: str = _setting("CS,ADRC", "FLATFILES_UNIVERSE_TYPES")
    universe_top: int | None = Field(
        default=None, ge=1, validation_alias=AliasChoices("FLATFILES_UNIVERSE_TOP")
    )
    universe_min_price: float | None = _setting(None, "FLATFILES_UNIVERSE_MIN_PRICE")
    universe_min_history: int | None = _setting(None, "FLATFILES_UNIVERSE_MIN_HISTORY")

    api_url: str = _setting(
        "https://api.polygon.io", "FLATFILES_API_URL", "POLYGON_API_URL", "MASSIVE_API_URL"
    )
    api_key: SecretStr | None = _setting(None, "FLATFILES_API_KEY", "POLYGON_API_KEY", "MASSIVE_API_KEY")

    keep_runs_days: int = Field(default=365, ge=0, validation_alias=AliasChoices("FLATFILES_KEEP_RUNS_DAYS"))

    keep_replaced_days: int = Field(
        default=365, ge=0, validation_alias=AliasChoices("FLATFILES_KEEP_REPLACED_DAYS")
    )
    keep_replaced_bytes: int | None = Field(
        default=None, ge=0, validation_alias=AliasChoices("FLATFILES_KEEP_REPLACED_BYTES")
    )

    data_dir: Path = _setting(Path("data"), "FLATFILES_DATA_DIR")
    dagster_home_dir: Path | None = _setting(None, "DAGSTER_HOME")
    reference_dir: Path | None = _setting(None, "FLATFILES_REFERENCE_DIR")
    lock_timeout_seconds: float = Field(
        default=DEFAULT_LOCK_TIMEOUT_SECONDS,
        gt=0,
        validation_alias=AliasChoices("FLATFILES_LOCK_TIMEOUT_SECONDS"),
    )

    # Of each secret that would go where a file in the working directory says: which two do not agree.
    leaks: Mapping[str, str] = Field(default_factory=dict, repr=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, environment, `.env`; empty values count as not given, keys come in pairs."""
        sources = [found for found in (env_settings, dotenv_settings) if isinstance(found, EnvSettingsSource)]
        variables = Variables(settings_cls.model_fields)
        forget_empty(sources)
        variables.keep_pairs(sources)
        leaks = variables.leaks(env_settings, dotenv_settings, init_settings)
        noted = InitSettingsSource(settings_cls, {"leaks": leaks})
        return init_settings, noted, env_settings, dotenv_settings, file_secret_settings

    def model_post_init(self, _context: Any, /) -> None:
        """Have every secret masked in messages from now on, wherever a store or a library repeats it."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                keep_secret(value.get_secret_value())

    @field_validator("*")
    @classmethod
    def _at_home(cls, value: object) -> object:
        try:
            return value.expanduser() if isinstance(value, Path) else value
        except RuntimeError as error:  # ~somebody, who has no home here
            raise ValueError(str(error)) from None

    @field_validator("prices_fill", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @property
    def allowed_host_names(self) -> tuple[str, ...]:
        """Names, besides loopback's, under which the UI may be called."""
        return tuple(name for name in (part.strip() for part in self.allowed_hosts.split(",")) if name)

    @property
    def flatfiles_cache_dir(self) -> Path:
        """Mirror of the vendor's bucket, files under their keys."""
        return self.data_dir / "flatfiles_cache"

    @property
    def minio_cache_dir(self) -> Path:
        """Mirror of the user's bucket."""
        return self.data_dir / "minio_cache"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file."""
        return self.data_dir / "warehouse" / "warehouse.duckdb"

    @property
    def reference_path(self) -> Path:
        """Folder of the splits and dividends that the user provides as files."""
        return self.reference_dir or self.data_dir / "reference"

    @property
    def integration_cache_dir(self) -> Path:
        """Results that `DataIntegration` keeps."""
        return self.data_dir / "integration_cache"

    @property
    def dagster_home(self) -> Path:
        """Where Dagster's instance is: the user's ``DAGSTER_HOME``, or a folder of ours."""
        return self.dagster_home_dir or self.data_dir / "dagster_home"

    def reference_api_key(self) -> SecretStr | None:
        """The key of the reference endpoints, for `api_url` and no other host; None where none is set.

        Raises:
            InvalidArgument: The key comes from the environment, and where it would go from ``.env``.
        """
        self._refuse_leak("api_key")
        return self.api_key if self.api_key and self.api_key.get_secret_value() else None

    def _refuse_leak(self, secret: str) -> None:
        if secret in self.leaks:
            raise InvalidArgument(
                "a key of the environment is not sent where a .env file says",
                why=self.leaks[secret],
                next_step="set both in one place: whoever writes a .env into a folder could have the key "
                "sent anywhere",
            )

    @property
    def has_flatfiles_credentials(self) -> bool:
        """Whether there is a key for the vendor's bucket."""
        return bool(self.access_key_id and self.secret_access_key)

    def flatfiles_credentials(self) -> tuple[str, str]:
        """Access key id and secret of the vendor's bucket, in the clear: pass on, never print.

        Raises:
            MissingCredentials: One of them is not set.
            InvalidArgument: They come from the environment, and where they would go from ``.env``.
        """
        self._refuse_leak("access_key_id")
        return _require(
            self.access_key_id,
            self.secret_access_key,
            "FLATFILES_ACCESS_KEY_ID",
            "FLATFILES_SECRET_ACCESS_KEY",
        )

    def minio_credentials(self) -> tuple[str, str]:
        """Access key and secret of the MinIO bucket, in the clear: pass on, never print.

        Raises:
            MissingCredentials: One of them is not set.
            InvalidArgument: They come from the environment, and where they would go from ``.env``.
        """
        self._refuse_leak("minio_access_key")
        return _require(self.minio_access_key, self.minio_secret_key, "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY")


def _require(
    key: SecretStr | None, secret: SecretStr | None, key_name: str, secret_name: str
) -> tuple[str, str]:
    missing = [
        name
        for name, value in ((key_name, key), (secret_name, secret))
        if not value or not value.get_secret_value()
    ]
    if missing or key is None or secret is None:
        raise MissingCredentials(
            f"{' and '.join(missing)} not set",
            next_step="set it in the environment or in a .env file in the working directory",
        )
    return key.get_secret_value(), secret.get_secret_value()


def load_settings(**overrides: Any) -> Settings:
    """The settings as they stand now in the environment and `.env`, with overrides by field name.

    Raises:
        InvalidArgument: A value is not usable (the message names each such setting, never the value),
            or the file is not UTF-8.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        refused = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        raise InvalidArgument(
            "a setting is not usable",
            why="; ".join(refused),
            next_step="correct it in the environment or in the .env file",
        ) from None
    except UnicodeDecodeError as error:
        raise InvalidArgument(
            "the settings cannot be read",
            where=".env",
            why=f"byte {error.start} is not UTF-8",
            next_step="save the file as UTF-8",
        ) from None
