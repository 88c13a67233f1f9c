"""A failed run becomes one message that says what an operator needs, and never where it was sent."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from flatfiles_assets.definitions import build_defs
from flatfiles_assets.defs.instance.home import open_instance
from flatfiles_assets.defs.sensors.failures import (
    FailureReport,
    LogTarget,
    WebhookFailed,
    WebhookTarget,
    build_failure_sensor,
    configured_targets,
    failure_report,
)
from flatfiles_assets.errors import InvalidArgument
from flatfiles_assets_tests.certificates import certificate, pem, serving
from flatfiles_assets_tests.daemons import free_port
from flatfiles_assets_tests.platform import Platform

pytestmark = pytest.mark.slow

SECRET_PATH = "/hooks/T0PS3CRET"
REPORT = FailureReport("0123456789", "stocks_daily", ("2024-01-02", "2024-01-03"), {}, {}, "it broke")


class Receiver:
    """A webhook: it answers with the statuses it was told to, then with 200."""

    def __init__(self, *statuses: int, tls: ssl.SSLContext | None = None, location: str = "") -> None:
        self.statuses = list(statuses)
        self.messages: list[dict] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.messages.append(json.loads(body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = SecretStr(f"{scheme}://127.0.0.1:{self._server.server_port}{SECRET_PATH}")

    @contextlib.contextmanager
    def running(self) -> Iterator[Receiver]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _sense(platform: Platform, run_id: str, sensor: dg.SensorDefinition) -> None:
    """What the daemon does when it sees the failed run."""
    with open_instance(platform.home) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        event = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[-1].get_dagster_event()
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_instance=instance,
            dagster_run=run,
            dagster_event=event,
        ).for_run_failure()
        sensor(context)


def test_a_failed_run_is_one_message_with_its_partitions_by_reason(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    platform.put("2024-01-02")
    platform.put("2024-01-03", "truncated")
    platform.put("2024-01-08", "misdated")
    days = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08"]
    (run,) = platform.run(days)
    with Receiver().running() as receiver, caplog.at_level(logging.DEBUG):
        monkeypatch.setenv("FLATFILES_FAILURE_WEBHOOK_URL", receiver.url.get_secret_value())
        _sense(platform, run.run_id, build_failure_sensor())

    (message,) = receiver.messages
    failures = message["failures"]
    assert {reason: sorted(by_day) for reason, by_day in failures.items()} == {
        "corrupt": ["2024-01-03"],
        "not_published": ["2024-01-04", "2024-01-05"],
        "misdated": ["2024-01-08"],
    }
    assert message["partitions"] == ["2024-01-02", "2024-01-08"]
    assert "not_published: 2 partition(s): 2024-01-04, 2024-01-05" in message["text"]
    assert "not_published: 2 partition(s)" in caplog.text
    assert "T0PS3CRET" not in caplog.text


def test_a_failed_check_is_reported_with_what_it_found(platform: Platform):
    platform.put("2024-01-03", "duplicated_rows")
    (run,) = platform.run(["2024-01-03"])
    with open_instance(platform.home) as instance:
        report = failure_report(instance, instance.get_run_by_id(run.run_id))

    assert report.by_reason == {}
    assert "duplicate 3" in report.failed_checks["market/stocks_daily: rejected_rows"]
    assert "check market/stocks_daily: rejected_rows" in report.as_text()


def test_a_failure_of_another_kind_is_reported_with_its_message(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FLATFILES_SECRET_ACCESS_KEY")
    (run,) = platform.run(["2024-01-03"], defs=build_defs())
    with open_instance(platform.home) as instance:
        report = failure_report(instance, instance.get_run_by_id(run.run_id))

    assert "FLATFILES_SECRET_ACCESS_KEY" in report.message
    assert report.by_reason == {}


def test_a_webhook_that_is_busy_is_asked_again():
    with Receiver(503, 429).running() as receiver:
        WebhookTarget(receiver.url, wait_seconds=0.01).send(REPORT)
    assert len(receiver.messages) == 3


def test_a_refusal_is_not_repeated_and_names_no_address():
    with Receiver(404).running() as receiver, pytest.raises(WebhookFailed, match="404") as caught:
        WebhookTarget(receiver.url, wait_seconds=0.01).send(REPORT)
    assert len(receiver.messages) == 1
    assert "T0PS3CRET" not in str(caught.value)


def test_a_webhook_that_is_down_is_given_up_without_naming_its_address(caplog: pytest.LogCaptureFixture):
    url = SecretStr(f"http://127.0.0.1:{free_port()}{SECRET_PATH}")
    with caplog.at_level(logging.DEBUG), pytest.raises(WebhookFailed, match="3 times") as caught:
        WebhookTarget(url, attempts=3, wait_seconds=0.01).send(REPORT)
    assert "T0PS3CRET" not in f"{caught.value!r}{caught.value}{caplog.text}"
    assert caught.value.__cause__ is None


def test_a_webhook_behind_a_certificate_of_ones_own_is_reached_where_the_setting_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    key, found = certificate("chat")
    (tmp_path / "bundle.pem").write_bytes(pem(found))
    with Receiver(tls=serving(tmp_path, key, found)).running() as receiver:
        with pytest.raises(WebhookFailed):
            WebhookTarget(receiver.url, attempts=1, wait_seconds=0.01).send(REPORT)
        monkeypatch.setenv("FLATFILES_CA_BUNDLE", str(tmp_path / "bundle.pem"))
        monkeypatch.setenv("FLATFILES_FAILURE_WEBHOOK_URL", receiver.url.get_secret_value())
        for target in configured_targets():
            target.send(REPORT)
    assert len(receiver.messages) == 1


def test_a_webhook_is_asked_through_the_proxy_of_the_settings(monkeypatch: pytest.MonkeyPatch):
    with Receiver().running() as proxy:
        address = proxy.url.get_secret_value().removesuffix(SECRET_PATH)
        monkeypatch.setenv("FLATFILES_PROXY_URL", address)
        monkeypatch.setenv("FLATFILES_FAILURE_WEBHOOK_URL", f"http://chat.invalid{SECRET_PATH}")
        for target in configured_targets():
            target.send(REPORT)
    assert len(proxy.messages) == 1


def test_a_report_follows_no_redirect():
    with (
        Receiver().running() as other,
        Receiver(307, location=other.url.get_secret_value()).running() as receiver,
        pytest.raises(WebhookFailed, match="307"),
    ):
        WebhookTarget(receiver.url, wait_seconds=0.01).send(REPORT)
    assert other.messages == []


def test_only_web_addresses_are_taken():
    with pytest.raises(InvalidArgument, match="http"):
        WebhookTarget(SecretStr("file:///etc/passwd"))


def test_one_target_that_is_down_does_not_keep_the_report_from_the_others(platform: Platform, caplog):
    (run,) = platform.run(["2024-01-03"])
    dead = WebhookTarget(SecretStr(f"http://127.0.0.1:{free_port()}/"), attempts=1, wait_seconds=0.01)
    with pytest.raises(WebhookFailed):
        _sense(platform, run.run_id, build_failure_sensor([dead, LogTarget()]))
    assert "not_published" in caplog.text
