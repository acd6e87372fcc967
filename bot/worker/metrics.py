"""The worker's metrics: the port `Meter` of `triage.ports`, by prometheus-client.

The triage is counted by durable steps, not by attempts or log lines: a step changes a row once, so a
redelivered request, a lost race, a repeated click and a failed write are not counted, and LOG_LEVEL does not
matter. Counters start at 0 with the process, as Prometheus expects. Labels with values from outside come from
closed or bounded sets: no identifiers, no addresses.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from bot.triage.model import Choice, InvalidBody, Question
from bot.triage.outcomes import OUTCOMES, Outcome
from bot.triage.ports import Meter
from bot.worker.health import Trouble, WorkerHealth, find_problems

#: The type of what `Metrics.exposition` returns (Prometheus text format).
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Replaces every label that is unknown, or that comes after too many others.
OTHER = "other"

#: The most words from Slack that may become labels of one metric: it has about a hundred error codes.
LABELS_MAX = 50

#: In seconds: from immediate, through rate-limited floods, to working hours that begin in three days.
_ASK_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14400, 43200, 86400, 259200)

#: In seconds: from a glance at the phone to the day after the deadline.
_ANSWER_BUCKETS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800, 86400, 172800)

#: What is counted in the store; `NaN` while that does not answer.
_COUNTED = {
    "open_questions": "Questions without an outcome.",
    "unsent_reports": "Reports that wait for the response queue, including those that are not due yet.",
    "parked_reports": "Reports that the response queue refused for good, and that were not replayed since.",
    "invalid_requests": "Requests in the store that broke the contract.",
}


class Metrics(Meter):
    """The metrics of one worker. `alerts` are the alert labels that are not replaced by `other`."""

    def __init__(self, *, alerts: Collection[str], version: str) -> None:
        disable_created_metrics()
        self._alerts = frozenset(alerts)
        self._reasons = _BoundedLabels()
        self._methods = _BoundedLabels()
        self._registry = CollectorRegistry()
        _ProcessMetrics(namespace="triage", registry=self._registry)
        Info("triage_build", "The release that runs.", registry=self._registry).info({"version": version})
        self._register_counters()

        self._register_gauges_and_histograms()

    def count_stored(self, before: Question | None, after: Question) -> None:
        if after.standing is None and (before is None or before.standing is not None):
            self._accepted.inc()
        if after.asked_at and not (before and before.asked_at):
            self._asked.inc()
            waited = (after.asked_at - after.accepted_at).total_seconds()
            self._ask_seconds.labels(self._label_of_alert(after)).observe(waited)
        if before and after.waited_since and not before.waited_since:
            self._waited.inc()
        if before and after.answers > before.answers:
            self._count_answer(before, after)
        if after.standing is not (before.standing if before else None) or _has_failed_again(before, after):
            self._count_ending(after)

    def count_untold(self) -> None:
        self._untold.inc()

    def count_rejected(self, body: InvalidBody) -> None:
        self._rejected.labels(body.fault).inc()

    def count_conflicted(self) -> None:
        self._conflicting.inc()

    def count_sent(self, reports: int) -> None:
        self._sent.inc(reports)

    def count_parked(self, reports: int) -> None:
        self._parked.inc(reports)

    def count_retried(self, method: str) -> None:
        self._retries.labels(self._methods.label_for(method)).inc()

    def exposition(self, worker_health: WorkerHealth, now: datetime) -> bytes:
        """Return all metrics in Prometheus's text format; times and ages in seconds."""
        self._links.set(worker_health.links_up)
        self._polled_at.set(worker_health.polled_at.timestamp())
        self._oldest_open.set(_age(worker_health.store.oldest_open, now))
        self._oldest_unsent.set(_age(worker_health.store.oldest_unsent, now))
        for name, gauge in self._counts.items():
            counts = worker_health.store.counts
            gauge.set(math.nan if counts is None else getattr(counts, name))
        ahead = worker_health.clock_ahead
        self._clock_ahead.set(math.nan if ahead is None else ahead.total_seconds())
        found = {problem.trouble for problem in find_problems(worker_health)}
        for trouble in Trouble:
            self._problem.labels(trouble.value).set(trouble in found)
        return generate_latest(self._registry)

    def _count_answer(self, before: Question, after: Question) -> None:
        if after.said:
            self._answered.labels(after.said.value).inc()
        if not before.answers and after.answered_at and after.asked_at:
            took = (after.answered_at - after.asked_at).total_seconds()
            self._answer_seconds.labels(self._label_of_alert(after)).observe(took)

    def _count_ending(self, question: Question) -> None:
        counter = OUTCOMES[question.standing].counter if question.standing else None
        if counter is None:
            return
        if counter.by_reason:
            self._ended[counter].labels(self._reasons.label_for(question.reason)).inc()
        else:
            self._ended[counter].inc()

    def _label_of_alert(self, question: Question) -> str:
        alert = question.request.alert
        return alert if alert in self._alerts else OTHER

    def _register_counters(self) -> None:
        self._accepted = self._counter("requests_accepted", "New requests that were stored.")
        self._rejected = self._counter(
            "requests_rejected", "Requests that broke the contract, by reason.", "reason"
        )
        self._conflicting = self._counter(
            "requests_conflicting", "Requests that differ from an earlier one with the same identifier."
        )

        self._asked = self._counter("questions_asked", "Questions known to be in Slack.")
        self._waited = self._counter(
            "questions_waited",
            "Questions that had to wait, because too many others of their person were open.",
        )
        self._answered = self._counter(
            "questions_answered", "Choices that were stored, including changed ones.", "choice"
        )
        for choice in Choice:
            self._answered.labels(choice.value)
        counters = {facts.counter: None for facts in OUTCOMES.values() if facts.counter}
        self._ended = {
            each: self._counter(each.name, each.text, *(["reason"] if each.by_reason else []))
            for each in counters
        }
        for each in counters:
            for reason in each.reasons:
                self._ended[each].labels(reason)

        self._sent = self._counter(
            "reports_sent", "Reports that the response queue accepted, including replays."
        )
        self._parked = self._counter("reports_parked", "Reports that the response queue refused for good.")
        self._retries = self._counter("retries", "Failed calls that will be retried, by method.", "method")
        self._untold = self._counter(
            "clickers_untold", "People who clicked and could not be told the result."
        )

    def _register_gauges_and_histograms(self) -> None:
        ask = ("ask_seconds", "Time from accepting a request to posting its question in Slack.")
        answer = ("answer_seconds", "Time from posting a question in Slack to its first answer.")
        self._ask_seconds = self._histogram(*ask, buckets=_ASK_BUCKETS)
        self._answer_seconds = self._histogram(*answer, buckets=_ANSWER_BUCKETS)

        self._links = self._gauge("links_up", "Socket Mode links that are up.")
        self._polled_at = self._gauge(
            "last_successful_poll_timestamp_seconds",
            "When SQS last answered a poll of the request queue; until the first, when the worker started.",
        )
        self._oldest_open = self._gauge(
            "oldest_open_question_seconds",
            "Age of the oldest request without an outcome; 0 if there is none.",
        )
        self._oldest_unsent = self._gauge(
            "oldest_unsent_report_seconds", "How long the oldest unsent report is overdue; 0 if none is."
        )
        self._counts = {name: self._gauge(name, text) for name, text in _COUNTED.items()}
        self._clock_ahead = self._gauge(
            "clock_ahead_seconds",
            "How far this machine's clock is ahead of Slack's and AWS's; NaN until they have told the time.",
        )
        self._problem = self._gauge(
            "problem", "1 while this problem keeps the worker from doing its job.", "problem"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"triage_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"triage_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str, *, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"triage_{name}", text, ["alert"], buckets=buckets, registry=self._registry)


class _ProcessMetrics(ProcessCollector):
    """CPU, memory and descriptors of this process."""

    def _boot_time(self) -> float:
        """Return when the machine started. The library reads it in /proc/stat, which the unit hides."""
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _has_failed_again(before: Question | None, after: Question) -> bool:
    """Whether another attempt to prove a *yes* has failed."""
    is_over = before is not None and bool(before.proof_code) and not after.proof_code
    return is_over and after.standing is Outcome.UNPROVEN


class _BoundedLabels:
    """Lets up to `LABELS_MAX` different words become labels, and replaces all others."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label_for(self, word: str) -> str:
        if word not in self._known:
            if len(self._known) >= LABELS_MAX or not re.fullmatch(r"[A-Za-z][A-Za-z_.]{0,63}", word):
                return OTHER
            self._known.add(word)
        return word


def _age(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since else 0.0
