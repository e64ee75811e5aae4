"""The service's numbers, for Prometheus: what the store holds when it is asked, and how long answers took."""

from collections.abc import Callable, Iterable
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweeps.api.feed import Feed
from sweeps.core.notices import DeliveryState
from sweeps.core.states import SweepState, TrialState
from sweeps.schedules.nights import FiringState, ScheduleState
from sweeps.service import SweepService
from sweeps.store.schedule_totals import schedule_totals
from sweeps.store.totals import Totals, totals

_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Telemetry:
    """The numbers of one service.

    Args:
        service: On the store.
        feed: Whose listeners are counted.
        monotonic: Seconds that never go back.
    """

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, service: SweepService, feed: Feed, monotonic: Callable[[], float]) -> None:
        self._service, self._feed, self._monotonic = service, feed, monotonic
        self._registry = CollectorRegistry()
        self.latency = Histogram(
            "masksweep_api_latency_seconds",
            "Time until an answer begins.",
            ["method", "route", "status"],
            registry=self._registry,
            buckets=_BUCKETS,
        )
        self.refused = Counter(
            "masksweep_api_refused",
            "Requests that came to no route: without a valid token, too large or too many.",
            ["status"],
            registry=self._registry,
        )

    def exposition(self, now: float) -> bytes:
        """All numbers in Prometheus' text format, as they are at that moment."""
        stored = CollectorRegistry()
        stored.register(_Stored(lambda: self._collect(now)))
        return generate_latest(stored) + generate_latest(self._registry)

    def _collect(self, now: float) -> Iterable[Metric]:
        found = totals(self._service.engine, now)
        by_state = GaugeMetricFamily("masksweep_sweeps", "Sweeps by state.", labels=["state"])
        for state in SweepState:
            by_state.add_metric([state.value], found.sweeps.get(state, 0))
        trials = GaugeMetricFamily("masksweep_trials", "Trials by state.", labels=["state"])
        for trial_state in TrialState:
            trials.add_metric([trial_state.value], found.trials.get(trial_state, 0))
        gpu_s = GaugeMetricFamily(
            "masksweep_sweep_gpu_seconds", "GPU-seconds that a sweep's attempts held.", labels=["sweep"]
        )
        best = GaugeMetricFamily(
            "masksweep_sweep_best", "A sweep's best value of its first objective.", labels=["sweep", "metric"]
        )
        lag = GaugeMetricFamily(
            "masksweep_mirror_lag_seconds",
            "For how long MLflow has lacked something of a sweep; 0: it has all.",
            labels=["sweep"],
        )
        for each in found.shown:
            sweep_id = each.sweep.sweep_id
            gpu_s.add_metric([sweep_id], each.gpu_s)
            if each.best is not None:
                best.add_metric([sweep_id, each.sweep.spec.objectives[0].metric], each.best)
            lag.add_metric([sweep_id], each.lag_s)
        queue = GaugeMetricFamily(
            "masksweep_queue",
            "Submitted sweeps that wait for a driver: for their turn, or for the next try.",
            value=found.waiting,
        )
        listeners = GaugeMetricFamily(
            "masksweep_event_listeners", "Who follows the event stream.", value=self._feed.listeners
        )
        mine = [by_state, trials, queue, gpu_s, best, lag, listeners]
        return [*mine, *self._of_schedules(now), *_notifications(found)]

    def _of_schedules(self, now: float) -> Iterable[Metric]:
        found = schedule_totals(self._service.engine, now)
        schedules = GaugeMetricFamily("masksweep_schedules", "Schedules by state.", labels=["state"])
        for state in ScheduleState:
            schedules.add_metric([state.value], found.schedules.get(state, 0))
        nights = GaugeMetricFamily(
            "masksweep_schedule_nights",
            "Nights that go on or ended within 24 hours, by state; MISSED ones passed while no service ran.",
            labels=["state"],
        )
        for night_state in FiringState:
            nights.add_metric([night_state.value], found.nights.get(night_state, 0))
        lag = GaugeMetricFamily(
            "masksweep_schedule_lag_seconds",
            "For how long a fire time has been due without being decided, or a night without being begun.",
            value=found.lag_s,
        )
        return [schedules, nights, lag]


def _notifications(found: Totals) -> Iterable[Metric]:
    waiting = found.deliveries.get(DeliveryState.WAITING, 0)
    yield GaugeMetricFamily(
        "masksweep_notifications_waiting", "Messages that no place has taken yet.", value=waiting
    )
    failed = found.deliveries.get(DeliveryState.GIVEN_UP, 0)
    yield GaugeMetricFamily(
        "masksweep_notifications_failed", "Messages of the last 90 days that were given up.", value=failed
    )


class _Stored:
    """What Prometheus' registry calls to collect."""

    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self.collect = collect


METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""That are told apart: a client may make up any number of others."""


class Timed:
    """An ASGI application that measures another one, by route and not by path."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, monotonic: Callable[[], float]) -> None:
        self._app, self._telemetry, self._monotonic = app, telemetry, monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._monotonic()

        async def send_timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = scope.get("route")
                status = str(message["status"])
                if route is None:
                    self._telemetry.refused.labels(status).inc()
                else:
                    took = self._monotonic() - began
                    method = scope["method"] if scope["method"] in METHODS else "other"
                    self._telemetry.latency.labels(method, route.path, status).observe(took)
            await send(message)

        await self._app(scope, receive, send_timed)


def _telemetry(request: Request) -> Telemetry:
    telemetry: Telemetry = request.app.state.telemetry
    return telemetry


TelemetryHere = Annotated[Telemetry, Depends(_telemetry)]
