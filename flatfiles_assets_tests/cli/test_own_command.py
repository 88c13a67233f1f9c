"""What the demo prints must work where it was started: from a checkout, a wheel, or a module."""

import shlex
import sys

import pytest

from flatfiles_assets.cli.own_command import own_command


@pytest.fixture
def script(tmp_path, monkeypatch):
    script = tmp_path / "an environment" / "bin" / "flatfiles"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(script), "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    return script


def test_of_an_active_environment_the_name_is_enough(script, monkeypatch):
    monkeypatch.setenv("PATH", str(script.parent))
    assert own_command() == "flatfiles"


def test_a_script_that_the_shell_does_not_find_is_named_by_its_path(script):
    assert shlex.split(own_command()) == [str(script)]


def test_in_a_checkout_the_path_is_the_one_from_here(script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shlex.split(own_command()) == ["an environment/bin/flatfiles"]
    monkeypatch.setattr(sys, "argv", ["an environment/bin/flatfiles"])
    assert shlex.split(own_command()) == ["an environment/bin/flatfiles"]


def test_another_environments_script_is_not_taken_for_ours(script, tmp_path, monkeypatch):
    other = tmp_path / "other" / "flatfiles"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert shlex.split(own_command()) == [str(script)]


def test_a_module_is_called_as_one(script, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/flatfiles_assets/__main__.py"])
    assert shlex.split(own_command()) == [sys.executable, "-m", "flatfiles_assets"]
