"""The page of settings names every variable that is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices

from flatfiles_assets.settings import Settings


def test_every_variable_that_is_read_is_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    names = [str(name) for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices]
    assert [name for name in names if f"`{name}`" not in page] == []
