"""The UI of `flatfiles dev`, for real: what it refuses, and what a launch cannot set."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from flatfiles_assets_tests.daemons import free_port

pytestmark = pytest.mark.slow

_PATIENCE_SECONDS = 180.0
_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
  }
}
"""


class Ui:
    """A running UI."""

    def __init__(self, port: int, data_dir: Path) -> None:
        self.port = port
        self.data_dir = data_dir

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if body is not None:
                sent["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, content

    def launch(self, job: str, run_config: dict[str, Any]) -> dict[str, Any]:
        selector = {
            "repositoryLocationName": "flatfiles_assets", "repositoryName": "__repository__", "jobName": job,
        }  # fmt: skip
        tags = [{"key": "dagster/partition", "value": "2024-01-02"}]
        params = {
            "selector": selector, "runConfigData": run_config, "mode": "default",
            "executionMetadata": {"tags": tags if job == "stocks_daily" else []},
        }  # fmt: skip
        status, answer = self.request("POST", "/graphql", {"query": _LAUNCH, "variables": {"params": params}})
        assert status == 200, answer
        return answer["data"]["launchRun"]

    def runs(self) -> int:
        query = "{ runsOrError { ... on Runs { results { runId } } } }"
        _, answer = self.request("POST", "/graphql", {"query": query})
        return len(answer["data"]["runsOrError"]["results"])


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    data_dir = tmp_path_factory.mktemp("ui")
    port = free_port()
    environment = {**os.environ, "FLATFILES_DATA_DIR": str(data_dir), "FLATFILES_ALLOWED_HOSTS": "ui.example"}
    environment.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "flatfiles_assets", "dev", "--port", str(port)]
    with (data_dir / "dev.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=data_dir, stdout=log, stderr=log)
    found = Ui(port, data_dir)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            assert process.poll() is None, (data_dir / "dev.log").read_text()
            assert time.monotonic() < deadline, (data_dir / "dev.log").read_text()
            try:
                if found.request("GET", "/server_info")[0] == 200:
                    break
            except OSError:
                time.sleep(0.3)
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "run_config",
    [
        {"resources": {"flatfiles_s3": {"config": {"endpoint_url": "http://127.0.0.1:9"}}}},
        {"resources": {"flatfiles_s3": {"config": {"cache_dir": "{outside}/cache"}}}},
        {"resources": {"flatfiles_s3": {"config": {"aws_access_key_id": "x"}}}},
        {
            "resources": {
                "flatfiles_s3": {"config": {"bucket": "other", "profile_name": "p", "verify": False}}
            }
        },
        {"resources": {"minio_s3": {"config": {"endpoint_url": "http://127.0.0.1:9"}}}},
        {"resources": {"warehouse": {"config": {"database": "{outside}/w.duckdb"}}}},
        {"resources": {"warehouse_io": {"config": {"database": "{outside}/w.duckdb"}}}},
        {"resources": {"io_manager": {"config": {"base_dir": "{outside}/pickles"}}}},
    ],
)
@pytest.mark.parametrize("job", ["stocks_daily", "verify_cache"])
def test_a_launch_cannot_set_where_keys_go_and_what_is_written_where(
    ui: Ui, run_config: dict[str, Any], job: str, tmp_path: Path
):
    before = ui.runs()
    config = json.loads(json.dumps(run_config).replace("{outside}", str(tmp_path)))

    answer = ui.launch(job, config)

    assert answer["__typename"] == "RunConfigValidationInvalid", answer
    assert ui.runs() == before
    assert list(tmp_path.iterdir()) == []


def test_a_launch_that_sets_nothing_of_the_kind_is_accepted(ui: Ui):
    answer = ui.launch("stocks_daily", {"ops": {"ingest_stocks_daily": {"config": {"reload": True}}}})
    assert answer["__typename"] == "LaunchRunSuccess", answer
    assert ui.runs() >= 1


def test_a_mutation_by_get_a_foreign_name_and_a_foreign_page_are_refused(ui: Ui):
    before = ui.runs()
    selector = (
        'repositoryLocationName: "flatfiles_assets", repositoryName: "__repository__", '
        'jobName: "verify_cache"'
    )
    mutation = (
        f"mutation {{ launchRun(executionParams: {{ selector: {{ {selector} }}, runConfigData: {{}}, "
        'mode: "default" }) { __typename } }'
    )
    assert ui.request("GET", f"/graphql?query={quote(mutation)}")[0] == 403
    assert ui.request("HEAD", f"/graphql?query={quote(mutation)}")[0] == 403
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{ui.port}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert ui.request("POST", "/graphql", {"query": mutation}, **headers)[0] == 403
    assert ui.request("GET", "/", Host="evil.example")[0] == 403
    assert ui.runs() == before


def test_its_own_pages_queries_and_names_are_answered(ui: Ui):
    own = f"http://127.0.0.1:{ui.port}"
    assert ui.request("POST", "/graphql", {"query": "{version}"}, Origin=own)[0] == 200
    assert ui.request("GET", "/graphql?query=%7Bversion%7D")[1]["data"]["version"]
    assert ui.request("GET", "/", Host="ui.example")[0] == 200
    status, page = ui.request("GET", "/assets/market/stocks_daily")
    assert (status, b"<html" in page) == (200, True)


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), (None, 101)])
def test_a_websocket_is_opened_by_its_own_pages_only(ui: Ui, origin: str | None, status: int):
    headers = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Protocol": "graphql-ws",
        "Origin": origin or f"http://127.0.0.1:{ui.port}",
    }  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", ui.port, timeout=30)
    try:
        connection.request(
            "GET", "/graphql", headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        assert connection.getresponse().status == status
    finally:
        connection.close()
