"""Which of the environment and the `.env` file holds, variable by variable.

Here: values that count as not given, keys that come in pairs, and secrets of one source that would go
where another says. Not here: the settings themselves (`settings.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

# Fields of a key and of its secret.
_KEY_PAIRS = (("access_key_id", "secret_access_key"), ("minio_access_key", "minio_secret_key"))
# Of each secret: what decides who gets to see it.
_GOES_TO = {
    "access_key_id": ("endpoint_url", "proxy_url", "ca_bundle"),
    "minio_access_key": ("minio_endpoint_url", "minio_proxy_url", "minio_ca_bundle"),
    "api_key": ("api_url",),
}
_NOT_A_VALUE = " \t\r\n\"'"


def forget_empty(sources: Sequence[EnvSettingsSource]) -> None:
    """Templates make empty variables (``${X:-}``), and some tools keep a file's quotes in the value."""
    for source in sources:
        source.env_vars = {
            name: value for name, value in source.env_vars.items() if value and value.strip(_NOT_A_VALUE)
        }


class Variables:
    """The variables that fields are read from, in lower case, the first that is set before the others."""

    def __init__(self, fields: Mapping[str, FieldInfo]) -> None:
        self._names: dict[str, list[str]] = {}
        for field, info in fields.items():
            alias = info.validation_alias
            names = alias.choices if isinstance(alias, AliasChoices) else [field]
            self._names[field] = [str(name).lower() for name in names]

    def keep_pairs(self, sources: Sequence[EnvSettingsSource]) -> None:
        """Where one family of names has a key and its secret, no half of another family is mixed in."""
        given = {name for source in sources for name in source.env_vars}
        for pair in _KEY_PAIRS:
            names = [self._names[field] for field in pair]
            families = [{_family(name) for name in some if name in given} for some in names]
            complete = [
                family
                for family in dict.fromkeys(map(_family, names[0]))
                if all(family in some for some in families)
            ]
            if complete:
                others = {name for some in names for name in some if _family(name) != complete[0]}
                for source in sources:
                    source.env_vars = {n: value for n, value in source.env_vars.items() if n not in others}

    def leaks(
        self,
        environment: PydanticBaseSettingsSource,
        dotenv: PydanticBaseSettingsSource,
        arguments: PydanticBaseSettingsSource,
    ) -> dict[str, str]:
        """Of each secret from the environment that would go where ``.env`` says: which two do not agree."""
        said = {name.lower() for name in arguments()}
        if not isinstance(environment, EnvSettingsSource):
            return {}
        found = {}
        for secret, places in _GOES_TO.items():
            key = self._in_force(secret, environment, dotenv)
            if said & {secret, *self._names[secret]} or key is None or key not in environment.env_vars:
                continue
            for place in places:
                name = self._in_force(place, environment, dotenv)
                by_argument = bool(said & {place, *self._names[place]})
                if name is not None and name not in environment.env_vars and not by_argument:
                    found[secret] = f"{name.upper()} comes from .env, and {key.upper()} from the environment"
                    break
        return found

    def _in_force(
        self, field: str, environment: EnvSettingsSource, dotenv: PydanticBaseSettingsSource
    ) -> str | None:
        """The variable that a field's value comes from: the first of its names that is set anywhere."""
        in_file = dotenv.env_vars if isinstance(dotenv, EnvSettingsSource) else {}
        return next(
            (name for name in self._names[field] if name in environment.env_vars or name in in_file), None
        )


def _family(name: str) -> str:
    """Whose account a variable is about: ``flatfiles``, ``polygon``, ``massive``, ``minio`` or its root."""
    return "minio_root" if name.startswith("minio_root_") else name.partition("_")[0]
