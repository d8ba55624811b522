"""The table: each measure with its floor, its peers, ours, the ratio that counts, the target, and whether it is met.

Knows the targets. Must not measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .measures import Figures

_OURS = "kegmaster"
_HEAD = ("measure", "floor", "supervisord", "runit", "kegmaster", "ratio", "target", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: figures as text; `met` is None where there is nothing to compare with."""

    measure: str
    floor: str = "-"
    supervisord: str = "-"
    runit: str = "-"
    ours: str = "-"
    ratio: str = "-"
    target: str = ""
    met: bool | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """As printed."""
        verdict = {True: "ok", False: "MISSED", None: ""}[self.met]
        return (
            self.measure, self.floor, self.supervisord, self.runit, self.ours, self.ratio, self.target, verdict
        )  # fmt: skip


class Report:
    """All rows of one run."""

    def __init__(self, figures: Figures, sizes: Sequence[int]) -> None:
        self._figures = figures
        self._sizes = sizes

    def rows(self) -> Iterator[Row]:
        """Every measure of the issue's table, as far as it was measured."""
        py = self._figures.median("py", "floor") or 0.0
        for size in self._sizes:
            yield self._against(f"MTTR {size}", "C", 3)
            yield self._against(f"MTTR {size}", "runit", 1.25)
            yield self._faster(f"MTTR {size}", 300)
            yield self._worst(f"MTTR {size}", 15)
        for crash in ("first", "second", "third"):
            yield self._against(f"{crash} crash", "C", 3)
        yield self._row("fourth crash", target="held back", met=self._more("fourth crash", 500))
        yield self._limit("crash loop, CPU ms/s", 2)
        yield self._row("crash loop, starts/s", target="never gives up")
        yield self._against(f"burst {self._sizes[-1]}", "C", 1.5)
        yield self._times(f"start {self._sizes[0]}", 2.5, py)
        if 100 in self._sizes:
            yield self._start_of_many(py)
        for size in self._sizes:
            yield self._faster(f"start {size}", 20)
        for size in self._sizes:
            yield self._times(f"stop {size}", 4, py)
        for stubborn in (1, 5, 20):
            yield self._limit(f"stop, {stubborn} stubborn", 1050)
        yield self._limit("idle, switches", 0)
        yield self._limit("memory 10, KiB", 12 * 1024)
        if 100 in self._sizes:
            yield self._memory_per_app()
        for verb in ("status", "configtest"):
            yield self._times(f"{verb} 100", 5, py)
        yield self._against("status 100", "supervisord", 0.5)
        yield self._limit("watchdog back", 100)
        for what in ("doubles", "lost"):
            worst = self._figures.worst(what, _OURS)
            yield Row(
                measure=f"kill -9 of the watchdog: {what}",
                ours=_text(worst),
                target="0",
                met=None if worst is None else worst == 0,
            )

    def floors(self) -> Iterator[tuple[str, float]]:
        """What the machine itself needs, in ms."""
        for name in ("py", "fork + exec, C", "posix_spawn, Python", "double fork, Python"):
            yield name, self._figures.median(name, "floor") or 0.0

    def _row(
        self,
        measure: str,
        *,
        ratio: str = "-",
        target: str = "",
        met: bool | None = None,
        floor: float | None = None,
    ) -> Row:
        middle = {name: self._figures.median(measure, name) for name in ("C", "supervisord", "runit", _OURS)}
        return Row(
            measure=measure, floor=_text(floor if floor is not None else middle["C"]),
            supervisord=_text(middle["supervisord"]), runit=_text(middle["runit"]), ours=_text(middle[_OURS]),
            ratio=ratio, target=target, met=met,
        )  # fmt: skip

    def _against(self, measure: str, other: str, most: float) -> Row:
        ours, theirs = self._figures.median(measure, _OURS), self._figures.median(measure, other)
        target = f"<= {most:g} {other}"
        if ours is None or not theirs:
            return self._row(measure, target=target)
        return self._row(
            measure, ratio=f"{ours / theirs:.2f} {other}", target=target, met=ours <= most * theirs
        )

    def _faster(self, measure: str, times: float) -> Row:
        ours, theirs = self._figures.median(measure, _OURS), self._figures.median(measure, "supervisord")
        target = f">= {times:g} x faster than supervisord"
        if not ours or theirs is None:
            return self._row(measure, target=target)
        return self._row(measure, ratio=f"{theirs / ours:.0f} x", target=target, met=theirs >= times * ours)

    def _times(self, measure: str, most: float, py: float) -> Row:
        ours = self._figures.median(measure, _OURS)
        target = f"<= {most:g} py"
        if ours is None or not py:
            return self._row(measure, target=target)
        return self._row(measure, ratio=f"{ours / py:.2f} py", target=target, met=ours <= most * py, floor=py)

    def _limit(self, measure: str, most: float) -> Row:
        ours = self._figures.median(measure, _OURS)
        return self._row(measure, target=f"<= {most:g}", met=None if ours is None else ours <= most)

    def _worst(self, measure: str, most: float) -> Row:
        worst = {name: self._figures.worst(measure, name) for name in ("C", "supervisord", "runit", _OURS)}
        lost = any(value < 0 for value in self._figures.samples[measure][_OURS])
        ours = worst[_OURS]
        return Row(
            measure=f"{measure}, worst", floor=_text(worst["C"]), supervisord=_text(worst["supervisord"]),
            runit=_text(worst["runit"]), ours="lost" if lost else _text(ours), target=f"<= {most:g}",
            met=None if ours is None else not lost and ours <= most,
        )  # fmt: skip

    def _start_of_many(self, py: float) -> Row:
        ours, runit = self._figures.median("start 100", _OURS), self._figures.median("start 100", "runit")
        target = "<= 0.9 runit, less py"
        if ours is None or not runit:
            return self._row("start 100", target=target)
        ratio = (ours - py) / runit
        return self._row("start 100", ratio=f"{ratio:.2f} runit", target=target, met=ratio <= 0.9)

    def _memory_per_app(self) -> Row:
        def grown(name: str) -> float | None:
            few, many = (self._figures.median(f"memory {size}, KiB", name) for size in (10, 100))
            return None if few is None or many is None else (many - few) / 90

        ours = grown(_OURS)
        return Row(
            measure="memory per app, KiB", floor=_text(grown("C")), supervisord=_text(grown("supervisord")),
            runit=_text(grown("runit")), ours=_text(ours), target="<= 4", met=None if ours is None else ours <= 4,
        )  # fmt: skip

    def _more(self, measure: str, least: float) -> bool | None:
        ours = self._figures.median(measure, _OURS)
        return None if ours is None else ours >= least


def table(rows: Sequence[Row]) -> str:
    """The rows in columns."""
    lines = [_HEAD, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 5, 6, 7) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return (
        f"{value:.0f}"
        if value >= 100 or value == int(value)
        else f"{value:.2f}"
        if value < 10
        else f"{value:.1f}"
    )
