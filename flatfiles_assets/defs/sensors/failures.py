"""One message for each failed run: which partitions failed, grouped by reason, and which checks.

Here: the report, the targets it goes to (a log, a webhook), and the sensor that sends it. Not here:
e-mail, which Dagster sends itself (`dagster.make_email_on_run_failure_sensor`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import dagster as dg
import stamina
import urllib3
from pydantic import SecretStr

from flatfiles_assets.defs.instance.liveness import is_obituary
from flatfiles_assets.defs.range_requests import tagged_range
from flatfiles_assets.defs.step_errors import door, shown_message
from flatfiles_assets.download.connection import StoreOptions
from flatfiles_assets.download.network import NetworkOptions
from flatfiles_assets.errors import FlatFilesError, InvalidArgument
from flatfiles_assets.escaping import from_markdown
from flatfiles_assets.settings import load_settings

_TICK_SECONDS = 150
_MOST_PARTITIONS_NAMED = 10
_MOST_TEXT = 2_000


class WebhookFailed(FlatFilesError):
    """A failure could not be reported; the message holds no part of the webhook's address."""


class _Unavailable(Exception):
    """The server may answer another time."""


@dataclasses.dataclass(frozen=True)
class FailureReport:
    """What went wrong in one run.

    Attributes:
        run_id: Dagster's id of the run.
        job: Name of the job.
        partitions: First and last partition of the run; empty for a run without partitions.
        by_reason: Failed partitions, each with its message, by the reason in one word.
        failed_checks: Blocking checks that failed, each with what it found.
        message: The step's error, where it is neither of those two; and that the run's process is gone.
    """

    run_id: str
    job: str
    partitions: tuple[str, ...]
    by_reason: Mapping[str, Mapping[str, str]]
    failed_checks: Mapping[str, str]
    message: str = ""

    def as_text(self) -> str:
        """The message for people."""
        span = f" ({' to '.join(dict.fromkeys(self.partitions))})" if self.partitions else ""
        lines = [f"Run {self.run_id[:8]} of {self.job}{span} failed."]
        for reason, failures in self.by_reason.items():
            days = list(failures)
            named = ", ".join(days[:_MOST_PARTITIONS_NAMED])
            more = (
                f" and {len(days) - _MOST_PARTITIONS_NAMED} more"
                if len(days) > _MOST_PARTITIONS_NAMED
                else ""
            )
            lines.append(f"{reason}: {len(days)} partition(s): {named}{more}")
            lines.append(f"  {next(iter(failures.values()))}")
        lines += [f"check {name}: {found}" for name, found in self.failed_checks.items()]
        if self.message:
            lines.append(self.message)
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The message for machines; `text` is what chat services show."""
        return {
            "text": self.as_text(),
            "run_id": self.run_id,
            "job": self.job,
            "partitions": list(self.partitions),
            "failures": {reason: dict(failures) for reason, failures in self.by_reason.items()},
            "failed_checks": dict(self.failed_checks),
            "message": self.message,
        }


class FailureTarget(Protocol):
    """Where reports go. Give `build_failure_sensor` your own for anything else."""

    def send(self, report: FailureReport) -> None:
        """Deliver one report, or raise."""


class LogTarget:
    """Writes the report to a logger, as an error."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("flatfiles_assets.failures")

    def send(self, report: FailureReport) -> None:
        """Log the text."""
        self._logger.error("%s", report.as_text())


class WebhookTarget:
    """Posts the report as JSON; ``text`` is the field that chat services show.

    Args:
        url: The address: a secret, because whoever knows it can post.
        timeout_seconds: Longest wait for each answer.
        attempts: Requests at most; a refusal (4xx other than 408 and 429) is not repeated.
        wait_seconds: Pause after the first failed request; it doubles, with jitter.
        network: Proxy and certificates; None for what the environment and the system say.
    """

    def __init__(
        self,
        url: SecretStr,
        timeout_seconds: float = 10,
        attempts: int = 4,
        wait_seconds: float = 1,
        network: NetworkOptions | None = None,
    ) -> None:
        if not url.get_secret_value().startswith(("http://", "https://")):
            raise InvalidArgument(
                "the address is not one of http:// or https://", where="FLATFILES_FAILURE_WEBHOOK_URL"
            )
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._wait_seconds = wait_seconds
        self._network = network or NetworkOptions()

    def send(self, report: FailureReport) -> None:
        """Post it.

        Raises:
            WebhookFailed: No attempt was answered with success.
            InvalidArgument: The proxy is no URL, or the CA bundle holds no certificates.
        """
        body = json.dumps(report.as_json()).encode()
        try:
            for attempt in stamina.retry_context(
                on=_Unavailable,
                attempts=self._attempts,
                timeout=None,
                wait_initial=self._wait_seconds,
                wait_jitter=self._wait_seconds,
            ):
                with attempt:
                    self._post(body)
        except _Unavailable as error:
            raise self._failed(f"{error}, {self._attempts} times") from None

    def _post(self, body: bytes) -> None:
        url = self._url.get_secret_value()
        pool = self._network.pool(url)
        try:
            with pool, _unsaid_by_urllib3():
                # Not redirected: the report is for this address alone.
                status = pool.request(
                    "POST",
                    url,
                    body=body,
                    headers={"Content-Type": "application/json"},
                    timeout=self._timeout_seconds,
                    redirect=False,
                    retries=False,
                ).status
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # The texts of these errors may hold the address.
            raise _Unavailable(f"no answer ({type(error).__name__})") from None
        if status >= 500 or status in (408, 429):
            raise _Unavailable(f"the server answered {status}")
        if status >= 300:
            raise self._failed(f"the server refused it with {status}")

    def _failed(self, why: str) -> WebhookFailed:
        return WebhookFailed(
            "the failure could not be reported",
            where="FLATFILES_FAILURE_WEBHOOK_URL",
            why=why,
            next_step="check the address and the service behind it; the run itself shows in the UI",
        )


@contextlib.contextmanager
def _unsaid_by_urllib3() -> Iterator[None]:
    """Keep this thread's requests out of the library's log: at DEBUG it holds the path, which is a secret."""
    here, log = threading.get_ident(), logging.getLogger("urllib3.connectionpool")

    def is_other(record: logging.LogRecord) -> bool:
        return record.thread != here or record.levelno > logging.DEBUG

    log.addFilter(is_other)
    try:
        yield
    finally:
        log.removeFilter(is_other)


def configured_targets() -> list[FailureTarget]:
    """The log, and the webhook where the settings name one."""
    settings = load_settings()
    url, network = settings.failure_webhook_url, StoreOptions.of_vendor(settings).network
    return [LogTarget(), *([WebhookTarget(url, network=network)] if url and url.get_secret_value() else [])]


def failure_report(instance: dg.DagsterInstance, run: dg.DagsterRun) -> FailureReport:
    """What went wrong in a failed run, from its events."""
    by_reason: dict[str, dict[str, str]] = {}
    failed_checks: dict[str, str] = {}
    messages: list[str] = []
    gone = ""
    wanted = {
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.RUN_FAILURE,
    }
    for entry in instance.all_logs(run.run_id, of_type=wanted):
        event = entry.get_dagster_event()
        if event.is_step_failure:
            failures = _failed_partitions(event)
            for partition, (state, reason) in failures.items():
                by_reason.setdefault(state, {})[partition] = reason
            if not failures:
                messages.append(shown_message(event.step_failure_data.error))
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if found.blocking and not found.passed and found.severity == dg.AssetCheckSeverity.ERROR:
                name = f"{found.asset_key.to_user_string()}: {found.check_name}"
                failed_checks[name] = from_markdown(found.description or "")
        elif is_obituary(event.message or ""):
            gone = event.message or ""
        elif not by_reason and not failed_checks and not messages:
            messages.append(event.message or "")
    explained = bool(by_reason or failed_checks)
    return FailureReport(
        run_id=run.run_id,
        job=run.job_name,
        partitions=_partitions(run.tags),
        by_reason=by_reason,
        failed_checks=failed_checks,
        message="\n".join(filter(None, [gone, *([] if explained else messages)]))[:_MOST_TEXT],
    )


def build_failure_sensor(targets: Sequence[FailureTarget] | None = None) -> dg.SensorDefinition:
    """The sensor that reports each failed run once.

    Args:
        targets: Where reports go; None for what the settings say, read at each failure.
    """

    @dg.run_failure_sensor(
        name="report_failures",
        description="Sends one message for each failed run, with its failed partitions by reason.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=_TICK_SECONDS,
    )
    @door
    def report_failures(context: dg.RunFailureSensorContext) -> None:
        report = failure_report(context.instance, context.dagster_run)
        failed: list[Exception] = []
        for target in configured_targets() if targets is None else targets:
            try:
                target.send(report)
            except Exception as error:
                # One target that is down must not keep the report from the others.
                failed.append(error)
        if failed:
            raise failed[0]

    return report_failures


def _failed_partitions(event: dg.DagsterEvent) -> dict[str, tuple[str, str]]:
    data = event.step_failure_data.user_failure_data
    table = data.metadata.get("failures") if data else None
    if not isinstance(table, dg.TableMetadataValue):
        return {}
    return {
        str(record.data["partition"]): (str(record.data["state"]), str(record.data["reason"]))
        for record in table.records
    }


def _partitions(tags: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tagged_range(tags) or ()))
