"""Metrics: declared once, at import; names `ponte_...`, seconds, `_total`; labels are bounded.

A label never holds a person, a ticket, a number or an address: each of its values is a time series.

Every process of an installation counts into files of one folder (`share`), and `/metrics` of the
web process adds them up (`exposition`). A process takes a *slot* of the folder, `worker-0`, by a
lock that the kernel frees when it dies. The next process of that name takes the slot over and
counts on in its files, so there are never more files than processes ran at once, and no process id
is ever mixed up with another's. Without `share` (commands, tests) all is counted in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kit import metric_slots

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `exposition` gives."""

SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""From a local call to a notice that waited for minutes."""

GaugeMode = Literal["latest", "sum", "max"]
_GAUGE_MODES = {"latest": "livemostrecent", "sum": "livesum", "max": "livemax"}

_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

MetricT = TypeVar("MetricT", bound="_Metric")


class MetricDeclaredTwiceError(ValueError):
    """Two places declare the same metric."""

    def __init__(self, name: str) -> None:
        super().__init__(f"metric {name} is declared already; expected one place that declares it")


class MetricNameError(ValueError):
    """A name that breaks the rules: they are what makes metrics readable together."""

    def __init__(self, name: str, expected: str) -> None:
        super().__init__(f"metric {name!r}: expected {expected}")


@dataclass(slots=True)
class _Metric:
    """A metric that is made with its first use, for `share` decides where it counts."""

    name: str
    text: str
    labelnames: tuple[str, ...]
    _made: Any = None

    def _make(self, registry: CollectorRegistry) -> Any:
        raise NotImplementedError

    @property
    def made(self) -> Any:
        """The metric of prometheus_client."""
        if self._made is None:
            self._made = self._make(_state.registry)
        return self._made

    def labels(self, *values: object, **named: object) -> Any:
        """The series with these values of the labels."""
        return self.made.labels(*values, **named)


class Counter(_Metric):
    """A number that only grows."""

    def _make(self, registry: CollectorRegistry) -> Any:
        from prometheus_client import Counter as Made  # noqa: PLC0415 - commands need none of it

        return Made(self.name, self.text, self.labelnames, registry=registry)

    def inc(self, amount: float = 1) -> None:
        """Add to a counter without labels."""
        self.made.inc(amount)


@dataclass(slots=True)
class Gauge(_Metric):
    """A number that goes up and down."""

    mode: GaugeMode = "latest"

    def _make(self, registry: CollectorRegistry) -> Any:
        from prometheus_client import Gauge as Made  # noqa: PLC0415

        mode: Any = _GAUGE_MODES[self.mode]
        return Made(
            self.name, self.text, self.labelnames, registry=registry, multiprocess_mode=mode
        )

    def set(self, value: float) -> None:
        """Set a gauge without labels. Not for mode `sum` together with `inc`."""
        self.made.set(value)

    def inc(self, amount: float = 1) -> None:
        """Add to a gauge without labels, of mode `sum`."""
        self.made.inc(amount)

    def dec(self, amount: float = 1) -> None:
        """Take from a gauge without labels, of mode `sum`."""
        self.made.dec(amount)


@dataclass(slots=True)
class Histogram(_Metric):
    """How values are spread, such as seconds."""

    buckets: tuple[float, ...] = SECONDS_BUCKETS

    def _make(self, registry: CollectorRegistry) -> Any:
        from prometheus_client import Histogram as Made  # noqa: PLC0415

        return Made(self.name, self.text, self.labelnames, registry=registry, buckets=self.buckets)

    def observe(self, value: float) -> None:
        """Note a value of a histogram without labels."""
        self.made.observe(value)


@dataclass(slots=True)
class _State:
    """What this process counts, and where."""

    declared: dict[str, _Metric] = field(default_factory=dict)
    folder: Path | None = None
    slot: str = ""
    lock: int = -1
    """File descriptor of the slot's lock; open as long as the process lives."""
    _registry: CollectorRegistry | None = None

    @property
    def registry(self) -> CollectorRegistry:
        """Our own: the library's has collectors that know nothing of several processes."""
        if self._registry is None:
            from prometheus_client import (  # noqa: PLC0415
                CollectorRegistry,
                disable_created_metrics,
            )

            disable_created_metrics()  # type: ignore[no-untyped-call]  # doubles every counter
            self._registry = CollectorRegistry()
        return self._registry


_state = _State()


def counter(name: str, text: str, labels: Sequence[str] = ()) -> Counter:
    """Declare a number that only grows; its name ends in `_total`.

    Raises:
        MetricNameError: the name does not begin with `ponte_` or end in `_total`.
        MetricDeclaredTwiceError: it is declared elsewhere.
    """
    if not name.endswith("_total"):
        raise MetricNameError(name, "a counter's name to end in _total")
    return _declare(Counter(name, text, tuple(labels)))


def gauge(name: str, text: str, labels: Sequence[str] = (), *, mode: GaugeMode = "latest") -> Gauge:
    """Declare a number that goes up and down. What a dead process said is forgotten.

    Args:
        name: Begins with `ponte_`.
        text: What it says, in one English sentence.
        labels: Names of its labels.
        mode: When several processes have one: the word of whoever spoke last, the sum of all
            living ones, or the highest.

    Raises:
        MetricNameError: the name does not begin with `ponte_`.
        MetricDeclaredTwiceError: it is declared elsewhere.
    """
    return _declare(Gauge(name, text, tuple(labels), mode=mode))


def histogram(
    name: str,
    text: str,
    labels: Sequence[str] = (),
    *,
    buckets: Sequence[float] = SECONDS_BUCKETS,
) -> Histogram:
    """Declare how values are spread; a time's name ends in `_seconds`.

    Raises:
        MetricNameError: the name does not begin with `ponte_`.
        MetricDeclaredTwiceError: it is declared elsewhere.
    """
    return _declare(Histogram(name, text, tuple(labels), buckets=tuple(buckets)))


def share(folder: Path, process: str) -> str:
    """Count into files in the folder from now on; call it before anything is counted.

    Args:
        folder: Of this installation, on a local disk; made when missing.
        process: Kind of process, such as `worker`.

    Returns:
        The slot, such as `worker-0`; the empty text when there was none left, or the folder cannot
        be used: then this process counts in memory.
    """
    if _state.slot:
        return _state.slot
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = metric_slots.take(folder, process)
    except OSError:
        return ""
    if found is None:
        return ""
    slot, _state.lock = found
    metric_slots.clean(folder, slot)
    _use_files(folder, slot)
    _state.folder, _state.slot = folder, slot
    for metric in _state.declared.values():
        _show(metric)
    return slot


def exposition() -> bytes:
    """All metrics of all processes in the text format of Prometheus. Reads files: use a thread."""
    from prometheus_client import generate_latest  # noqa: PLC0415

    if _state.folder is None:
        for metric in _state.declared.values():
            _show(metric)
        return generate_latest(_state.registry)
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    metric_slots.forget_dead(_state.folder)
    registry = CollectorRegistry()
    registry.register(_AllFiles(_state.folder))
    return generate_latest(registry)


@dataclass(frozen=True, slots=True)
class _AllFiles:
    """The sums over the files of the folder. One that a power cut damaged is left out."""

    folder: Path

    def collect(self) -> Iterable[Any]:
        from prometheus_client.multiprocess import MultiProcessCollector  # noqa: PLC0415

        files = [str(path) for path in self.folder.glob("*.db") if metric_slots.is_readable(path)]
        found: Iterable[Any] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return found


def _declare(metric: MetricT) -> MetricT:
    if not metric.name.startswith("ponte_"):
        raise MetricNameError(metric.name, "a name that begins with ponte_")
    if metric.name in _state.declared:
        raise MetricDeclaredTwiceError(metric.name)
    _state.declared[metric.name] = metric
    if _state.slot:
        _show(metric)
    return metric


def _show(metric: _Metric) -> None:
    """A metric without labels is there from the beginning, at zero."""
    if not metric.labelnames:
        _ = metric.made


def _use_files(folder: Path, slot: str) -> None:
    # The library reads the variable whenever it opens a file, and has no other way to be told.
    os.environ[_DIRECTORY_VARIABLE] = str(folder)  # noqa: TID251
    from prometheus_client import values  # noqa: PLC0415

    # Metrics look the class up when they are made. Its default names files by process id.
    made: Any = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
    values.ValueClass = made
