"""The documentation holds: its snippets run, its links lead somewhere, its tables are the code's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from pydantic import AliasChoices

from flatfiles_assets.cli import main
from flatfiles_assets.datasets import DATASETS
from flatfiles_assets.settings import Settings
from flatfiles_assets.warehouse.tables import TABLES
from flatfiles_assets_tests.documentation import generated_pages, snippets
from flatfiles_assets_tests.documentation.snippets import ROOT


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the tutorials' readers have: the demo's data."""
    if ready := os.environ.get("FLATFILES_TEST_DEMO_DIR"):
        return Path(ready)
    folder = tmp_path_factory.mktemp("documentation") / "demo"
    command = [sys.executable, "-W", "ignore", "-m", "flatfiles_assets", "demo", "--data-dir", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=folder.parent)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", snippets.pages(), ids=lambda page: page.stem)
def test_every_snippet_of_a_page_runs_on_the_demos_data(page: Path, demo_data: Path, tmp_path: Path):
    ended = snippets.run(page, demo_data, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_the_data_dictionary_has_every_table_and_column():
    text = generated_pages.data_dictionary()
    for table in TABLES.values():
        _, _, section = text.partition(f"### `{table.sql_name}`\n")
        section, _, _ = section.partition("\n###")
        assert re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE) == list(table.column_names), (
            table.key
        )


def test_the_data_dictionary_tells_what_every_installation_has_from_further_feeds():
    own, _, further = generated_pages.data_dictionary().partition("## Tables of further feeds")
    for name, dataset in DATASETS.items():
        assert f"`market.{name}`" in (own if dataset.enabled else further)


def test_the_settings_page_has_every_setting():
    text = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert "| `FLATFILES_BUCKET` |" in text
    listed = set(re.findall(r"`([A-Z_]+)`", "\n".join(re.findall(r"^\|([^|]+)\|", text, flags=re.MULTILINE))))
    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    wanted = {alias.choices[0] for alias in aliases if isinstance(alias, AliasChoices)}
    assert wanted - listed == set()


def test_the_front_door_shows_the_two_commands_and_leads_to_what_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "$ make demo" in text
    assert "$ make test" in text
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_the_front_door_calls_no_command_that_is_not_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    called = set(re.findall(r"^\$ \S*flatfiles ([\w-]+)", text, flags=re.MULTILINE))
    assert {"status", "backfill"} <= called <= set(main.list_commands(click.Context(main)))


def test_every_page_is_in_the_navigation():
    text = re.sub(r"!!python/name:\S+", '""', (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = set(re.findall(r"[\w/-]+\.md", yaml.safe_dump(yaml.safe_load(text)["nav"])))
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert written - named == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", ""),
        ("[gone](no-such-page.md)", "no-such-page.md"),
        ("[gone](architecture.md#no-such-heading)", "no-such-heading"),
    ],
    ids=["as it is", "a page that is not there", "a heading that is not there"],
)
def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path, wrong: str, said: str):
    for name in ("docs", "flatfiles_assets", "flatfiles_assets_tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    page = tmp_path / "docs" / "troubleshooting.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{wrong}\n", encoding="utf-8")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert (built.returncode == 0) == (not wrong), built.stderr
    assert said in built.stderr


@pytest.mark.slow
@pytest.mark.parametrize("door", ["operator", "researcher", "scripter"])
def test_the_notebook_of_a_door_runs_from_its_first_cell_to_its_last(
    door: str, demo_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("FLATFILES_DATA_DIR", str(demo_data))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(ROOT / "examples" / "notebooks" / f"{door}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs would go stale"
    nbclient.NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
