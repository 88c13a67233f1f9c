"""What is shipped: the wheel's contents, and that lock, requirements and environments agree."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest

from flatfiles_assets_tests.packaging.from_wheel import ROOT, SUPPORTED, build_wheel
from flatfiles_assets_tests.packaging.release_check import problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


def _name(requirement: str) -> str:
    (found,) = re.findall(r"^[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found).lower()


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_wheel_has_the_package_with_its_data_and_nothing_else(tmp_path: Path):
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        names = wheel.namelist()
    assert "flatfiles_assets/py.typed" in names
    assert "flatfiles_assets/defs/instance/dagster.yaml" in names
    assert all(name.startswith(("flatfiles_assets/", "flatfiles_assets-")) for name in names)


def test_the_lock_has_every_requirement(project: dict):
    lock = {
        _name(line)
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if line and line[0] != "#"
    }
    wanted = [
        *project["project"]["dependencies"],
        *(line for lines in project["project"]["optional-dependencies"].values() for line in lines),
        *(line for lines in project["dependency-groups"].values() for line in lines),
    ]
    assert sorted({_name(line) for line in wanted} - lock) == []


def test_what_the_demo_needs_is_no_tool_of_tests_lint_or_benchmarks(project: dict):
    needed = {
        _name(line)
        for line in (
            *project["project"]["dependencies"],
            *project["project"]["optional-dependencies"]["demo"],
        )
    }
    tools = {_name(line) for lines in project["dependency-groups"].values() for line in lines}
    assert not needed & tools


def test_every_supported_python_is_one_that_the_package_declares(project: dict):
    classifiers = project["project"]["classifiers"]
    declared = [c.rsplit(" ", 1)[1] for c in classifiers if re.search(r":: 3\.\d+$", c)]
    assert declared == list(SUPPORTED)


def test_modules_that_windows_lacks_are_required_by_marker_only(project: dict):
    lines = [line for line in project["project"]["dependencies"] if _name(line) == "uvloop"]
    assert all("sys_platform != 'win32'" in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"version": "1.0"}, "MAJOR.MINOR.PATCH"),
        ({"tags": {"v0.2.0"}}, "tagged already"),
        ({"changelog": "## 0.1.0\n- old\n"}, "nothing of 0.2.0"),
        ({"changelog": "## Unreleased\n- new\n## 0.2.0\n- is\n"}, "Unreleased"),
        ({"changed": " M README.md\n"}, "not committed"),
    ],
    ids=str,
)
def test_a_release_is_held_back_by_what_is_not_ready(changed: dict, said: str | None):
    ready = {"version": "0.2.0", "changelog": "## 0.2.0\n- new\n\n## 0.1.0\n- old\n", "tags": {"v0.1.0"}}
    found = problems(**{**ready, "changed": "", **changed})
    assert any(said in problem for problem in found) if said else found == []
