"""Settings: read when asked for, from the names people already use, with secrets that stay secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pydantic
import pytest

from flatfiles_assets.errors import InvalidArgument, MissingCredentials
from flatfiles_assets.settings import Settings, load_settings

ALIASES = {
    name: field.validation_alias.choices
    for name, field in Settings.model_fields.items()
    if isinstance(field.validation_alias, pydantic.AliasChoices)
}
SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No setting of the machine the tests run on, and no .env of the folder they run in."""
    for names in ALIASES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_defaults_are_the_documented_ones():
    settings = load_settings()
    assert settings.endpoint_url == "https://files.polygon.io"
    assert settings.bucket == "flatfiles"
    assert settings.options_prefix == "us_options_opra"
    assert settings.max_concurrent == 8
    assert settings.data_dir == Path("data")
    assert settings.flatfiles_cache_dir == Path("data/flatfiles_cache")
    assert settings.minio_cache_dir == Path("data/minio_cache")
    assert settings.warehouse_path == Path("data/warehouse/warehouse.duckdb")


@pytest.mark.parametrize("alias", ALIASES["access_key_id"])
def test_every_vendor_style_name_of_the_key_is_understood(monkeypatch, alias):
    monkeypatch.setenv(alias, "the-key")
    monkeypatch.setenv("MASSIVE_SECRET_ACCESS_KEY", "the-secret")
    assert load_settings().flatfiles_credentials() == ("the-key", "the-secret")


VALUES = {
    "sync_start": ["2024-01-02", "2024-01-03"],
    "prices_flat_files_from": ["2024-01-02", "2024-01-03"],
    "prices_fill": ["none", "symbols"],
}


@pytest.mark.parametrize("names", ALIASES.values(), ids=ALIASES)
def test_our_own_name_wins_over_an_alias(monkeypatch, names):
    field = next(name for name, choices in ALIASES.items() if choices is names)
    values = VALUES.get(field, [str(number) for number in range(1, len(names) + 1)])[-len(names) :]
    for value, name in zip(values, reversed(names), strict=True):
        monkeypatch.setenv(name, value)
    found = getattr(load_settings(), field)
    found = found.get_secret_value() if isinstance(found, pydantic.SecretStr) else found
    assert str(found) in {values[-1], f"{values[-1]}.0"}


def test_a_dotenv_file_is_read_and_the_environment_wins_over_it(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text(
        "POLYGON_S3_ACCESS_KEY=from-file\nPOLYGON_S3_SECRET_KEY=secret-from-file\nSOMETHING_ELSE=1\n"
    )
    assert load_settings().flatfiles_credentials() == ("from-file", "secret-from-file")
    monkeypatch.setenv("POLYGON_S3_ACCESS_KEY", "from-environment")
    assert load_settings().flatfiles_credentials()[0] == "from-environment"


def test_settings_are_read_when_asked_for_and_never_at_import(tmp_path):
    program = (
        "import os; import flatfiles_assets.settings as s;"
        "os.environ['FLATFILES_BUCKET'] = 'later'; print(s.load_settings().bucket)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "FLATFILES_MAX_CONCURRENT": "8"},
    )
    assert done.stdout.strip() == "later"


def test_overrides_go_by_field_name():
    settings = load_settings(data_dir=Path("/elsewhere"), max_concurrent=4)
    assert settings.warehouse_path == Path("/elsewhere/warehouse/warehouse.duckdb")
    assert settings.max_concurrent == 4


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_appears_in_any_representation(secret):
    settings = load_settings(**{secret: "dont-show-me"})
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert not [text for text in shown if "dont-show-me" in text]


def test_a_refused_secret_is_named_but_not_shown():
    with pytest.raises(InvalidArgument, match="access_key_id") as caught:
        load_settings(access_key_id=["dont-show-me"])
    assert "dont-show-me" not in str(caught.value)
    with pytest.raises(pydantic.ValidationError) as direct:
        Settings(access_key_id=["dont-show-me"])
    assert "dont-show-me" not in str(direct.value)


def test_missing_credentials_are_named_and_an_empty_one_is_missing():
    with pytest.raises(MissingCredentials, match="FLATFILES_ACCESS_KEY_ID and FLATFILES_SECRET_ACCESS_KEY"):
        load_settings().flatfiles_credentials()
    with pytest.raises(MissingCredentials) as caught:
        load_settings(minio_access_key="present", minio_secret_key="").minio_credentials()
    assert "MINIO_SECRET_KEY" in str(caught.value)
    assert "MINIO_ACCESS_KEY" not in str(caught.value)
    assert "present" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"), [("max_concurrent", 0), ("max_retries", -1), ("timeout_seconds", 0)]
)
def test_limits_that_make_no_sense_are_refused(name, value):
    with pytest.raises(InvalidArgument, match=f"{name}.*greater than"):
        load_settings(**{name: value})


@pytest.mark.parametrize("empty", ["", "  ", '""', "''"])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_empty_value_counts_as_not_given(monkeypatch, tmp_path, empty, place):
    names = {name for choices in ALIASES.values() for name in choices}
    if place == "environment":
        for name in names:
            monkeypatch.setenv(name, empty)
    else:
        (tmp_path / ".env").write_text("".join(f"{name}={empty}\n" for name in names))
    assert load_settings() == Settings.model_construct()


def test_an_empty_name_does_not_hide_a_filled_alias(monkeypatch, tmp_path):
    monkeypatch.setenv("FLATFILES_ACCESS_KEY_ID", "")
    monkeypatch.setenv("POLYGON_S3_ACCESS_KEY", "k")
    monkeypatch.setenv("POLYGON_S3_SECRET_KEY", "s")
    assert load_settings().flatfiles_credentials() == ("k", "s")
    (tmp_path / ".env").write_text("FLATFILES_BUCKET=from-file\n")
    monkeypatch.setenv("FLATFILES_BUCKET", "")
    assert load_settings().bucket == "from-file"


def test_key_and_secret_are_those_of_one_account(monkeypatch, tmp_path):
    # A half that was left from another account must not be signed with.
    (tmp_path / ".env").write_text("POLYGON_S3_ACCESS_KEY=polygon\nPOLYGON_S3_SECRET_KEY=polygon-secret\n")
    monkeypatch.setenv("FLATFILES_ACCESS_KEY_ID", "half")
    assert load_settings().flatfiles_credentials() == ("polygon", "polygon-secret")
    monkeypatch.setenv("FLATFILES_SECRET_ACCESS_KEY", "whole")
    assert load_settings().flatfiles_credentials() == ("half", "whole")
    monkeypatch.setenv("MINIO_ACCESS_KEY", "half")
    monkeypatch.setenv("MINIO_ROOT_USER", "root")
    monkeypatch.setenv("MINIO_ROOT_PASSWORD", "root-secret")
    assert load_settings().minio_credentials() == ("root", "root-secret")


PATHS = [name for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)]


@pytest.mark.parametrize("field", PATHS)
def test_a_tilde_is_the_home_folder_in_every_path(monkeypatch, tmp_path, field):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(ALIASES[field][0], "~/market")
    assert getattr(load_settings(), field) == tmp_path / "market"
    monkeypatch.setenv(ALIASES[field][0], "~nobody-of-that-name/market")
    with pytest.raises(InvalidArgument, match=ALIASES[field][0]):
        load_settings()


def test_the_users_store_believes_the_certificates_given_for_the_vendors(monkeypatch):
    monkeypatch.setenv("FLATFILES_CA_BUNDLE", "/company.pem")
    assert load_settings().minio_ca_bundle == Path("/company.pem")
    monkeypatch.setenv("MINIO_CA_BUNDLE", "/minio.pem")
    assert load_settings().minio_ca_bundle == Path("/minio.pem")


# Of each key: how it is asked for, and what would decide where it goes.
KEYS = {
    "FLATFILES_API_KEY": (lambda settings: settings.reference_api_key(), ["FLATFILES_API_URL"]),
    "POLYGON_API_KEY": (lambda settings: settings.reference_api_key(), ["FLATFILES_API_URL"]),
    "FLATFILES_ACCESS_KEY_ID": (
        lambda settings: settings.flatfiles_credentials(),
        ["FLATFILES_ENDPOINT_URL", "POLYGON_S3_ENDPOINT", "FLATFILES_PROXY_URL", "FLATFILES_CA_BUNDLE"],
    ),
    "MINIO_ACCESS_KEY": (
        lambda settings: settings.minio_credentials(),
        ["MINIO_ENDPOINT_URL", "MINIO_ENDPOINT", "MINIO_PROXY_URL", "MINIO_CA_BUNDLE"],
    ),
}
SECRET_OF = {"FLATFILES_ACCESS_KEY_ID": "FLATFILES_SECRET_ACCESS_KEY", "MINIO_ACCESS_KEY": "MINIO_SECRET_KEY"}
CASES = [(key, ask, place) for key, (ask, places) in KEYS.items() for place in places]


def _give(monkeypatch, where, **values):
    if where == "environment":
        for name, value in values.items():
            monkeypatch.setenv(name, value)
    else:
        with Path(".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())


@pytest.mark.parametrize(("key", "ask", "place"), CASES)
def test_a_file_in_the_folder_cannot_have_a_key_of_the_environment_sent_elsewhere(
    monkeypatch, key, ask, place
):
    key_values = {name: "the-value" for name in (key, SECRET_OF.get(key)) if name}
    _give(monkeypatch, "environment", **key_values)
    _give(monkeypatch, ".env", **{place: "http://elsewhere.example"})

    settings = load_settings()

    with pytest.raises(InvalidArgument, match=rf"{place} comes from \.env.*{key}.*environment.*one place"):
        ask(settings)
    # The environment's own word counts, and so does an argument in code.
    _give(monkeypatch, "environment", **{place: "http://mine.example"})
    assert ask(load_settings())


@pytest.mark.parametrize(("key", "ask", "place"), CASES)
@pytest.mark.parametrize(
    ("of_key", "of_place"), [(".env", ".env"), (".env", "environment"), ("environment",) * 2]
)
def test_a_key_goes_where_its_own_source_or_the_environment_says(
    monkeypatch, key, ask, place, of_key, of_place
):
    key_values = {name: "the-value" for name in (key, SECRET_OF.get(key)) if name}
    _give(monkeypatch, of_key, **key_values)
    _give(monkeypatch, of_place, **{place: "http://mine.example"})
    assert ask(load_settings())


def test_what_is_said_in_code_is_nobody_elses_word(monkeypatch):
    _give(monkeypatch, "environment", FLATFILES_API_KEY="the-value")
    _give(monkeypatch, ".env", FLATFILES_API_URL="http://elsewhere.example")
    assert load_settings(api_url="https://mine.example").reference_api_key()
    assert load_settings(api_key="another").reference_api_key()


def test_whatever_was_read_as_a_secret_is_in_no_message(monkeypatch):
    for name, field in Settings.model_fields.items():
        if name in SECRETS:
            monkeypatch.setenv(field.validation_alias.choices[0], f"hidden-{name}")
    load_settings()
    for name in SECRETS:
        assert "hidden" not in str(InvalidArgument("refused", why=f"the store said: hidden-{name}!"))
