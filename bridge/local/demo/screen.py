"""What a person sees of the demo: progress bars while it runs, a table at the end."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bridge.local.demo import controller
from bridge.local.demo.report import Report
from bridge.local.demo.work import Total


class Screen:
    """Bars for a stage's published and completed tasks; a line for each new phase."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._bars = Progress(
            TextColumn("  {task.description:<10}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._published = self._bars.add_task("published", total=None, visible=False)
        self._completed = self._bars.add_task("completed", total=None, visible=False)

    def __enter__(self) -> Screen:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def look(self, phase: str, progress: controller.Progress | None) -> None:
        if phase != self._phase:
            self._phase = phase
            self._console.print(f"[bold]•[/bold] {phase}")
            for bar in (self._published, self._completed):
                self._bars.reset(bar, visible=False)
        if progress is not None:
            self._bars.update(
                self._published, total=progress.tasks, completed=progress.published, visible=True
            )
            self._bars.update(
                self._completed, total=progress.tasks, completed=progress.completed, visible=True
            )


def show(console: Console, report: Report, totals: dict[str, Total]) -> None:
    """The result and the proof."""
    table = Table(title="The ten most populous hexagons (H3, resolution 2)", title_justify="left")
    table.add_column("hexagon")
    table.add_column("places", justify="right")
    table.add_column("population", justify="right")
    top = sorted(totals.items(), key=lambda item: -item[1].population)[:10]
    for hexagon, total in top:
        table.add_row(hexagon, f"{total.places:,}", f"{total.population:,}")
    table.add_section()
    table.add_row(
        f"all {len(totals):,}",
        f"{sum(total.places for total in totals.values()):,}",
        f"{sum(total.population for total in totals.values()):,}",
    )
    console.print(table)

    proof = Table(show_header=False, box=None)
    proof.add_column(justify="right", style="bold")
    proof.add_column()
    troubles = [
        (f"{report.workers_killed:,}", "workers killed at work"),
        (f"{report.retried:,}", "failed tasks tried again by an operator"),
    ]
    if not report.workers_killed:
        troubles.clear()
    rows = [
        (f"{report.tasks:,}", "tasks committed in PostgreSQL"),
        (f"{report.accepted:,}", "messages accepted by the endpoint"),
        (f"{report.duplicates_dropped:,}", "of them repeats, dropped by its duplicate detection"),
        (f"{report.attempts:,}", "attempts at them"),
        *troubles,
        (f"{report.completed:,}", "tasks completed by the workers"),
        (f"{report.lost:,}", "lost"),
        (f"{report.duplicates:,}", "stored twice"),
        (f"{report.done_twice:,}", "done twice"),
        (f"{report.stages_completed}", "stages completed"),
        ("yes" if report.result_matches else "NO", "the result equals a direct computation"),
        (f"{report.seconds['total']:.1f} s", "in all"),
    ]
    for figure, meaning in rows:
        proof.add_row(figure, meaning)
    console.print(proof)
    console.print("Places: GeoNames (geonames.org), CC BY 4.0. Hexagons: H3.", style="dim")
