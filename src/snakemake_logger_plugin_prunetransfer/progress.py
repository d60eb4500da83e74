"""How far a run has come: one line for each finished job, and the time that is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

# How a wildcard is said; seed 0 and no recovery are not worth a word.
SAID = {"sparsity": "at {}", "targets": "→ {}", "seed": "seed {}"}
UNSAID = {("seed", "0"), ("recovery", "none")}


class Progress:
    """What a run's jobs are and what they took so far. Times are seconds since any fixed moment."""

    def __init__(self) -> None:
        self._total = 0
        self._left: Counter[str] = Counter()  # jobs that have not finished, by rule
        self._jobs: dict[int, tuple[str, str]] = {}  # rule and description
        self._started: dict[int, float] = {}
        self._taken: dict[str, list[float]] = defaultdict(list)  # seconds of finished jobs, by rule
        self._begin: float | None = None

    def plan(self, jobs: Mapping[str, int]) -> str:
        """The run's jobs by rule; returns the line that says so."""
        self._left = Counter(jobs)
        self._total = self._left.total()
        many = [f"{count} {_spaced(rule)}" for rule, count in self._left.most_common() if count > 1]
        others = self._total - sum(count for count in jobs.values() if count > 1)
        count = "1 job" if self._total == 1 else f"{self._total} jobs"
        return f"{count} to run: " + ", ".join([*many, f"{others} of other kinds"] if others else many)

    def describe(self, job: int, rule: str, wildcards: Mapping[str, str]) -> None:
        """What job number `job` is."""
        said = [SAID.get(name, "{}").format(value) for name, value in wildcards.items() if (name, value) not in UNSAID]
        self._jobs[job] = rule, " ".join([_spaced(rule), *said])

    def start(self, jobs: Iterable[int], now: float) -> None:
        """Jobs start at `now`, or start again."""
        self._begin = now if self._begin is None else self._begin
        self._started.update(dict.fromkeys(jobs, now))

    def finish(self, job: int, now: float) -> str:
        """The line of a job that has finished at `now`: its place of all, the run's time, its own, what it is."""
        rule, what = self._jobs.pop(job)
        seconds = now - self._started.pop(job)
        self._taken[rule].append(seconds)
        self._left[rule] -= 1
        done = self._total - self._left.total()
        left = self.left(now)
        width = len(str(self._total))
        end = "" if left is None else f", {_about(left)} left"
        return f"[{done:{width}}/{self._total}] {_clock(now - self._begin)} {seconds:7.1f} s  {what}{end}"

    def left(self, now: float) -> float | None:
        """Seconds until all jobs are done; None while fewer than half of them are of a rule that has finished one.

        Each job that is left takes as long as its rule's mean so far (of a rule without one: as the mean job), less
        what a running one has had of it; as many run at a time as have run side by side so far.
        """
        left = self._left.total()
        known = sum(count for rule, count in self._left.items() if rule in self._taken)
        if not left or 2 * known < left:
            return None
        means = {rule: sum(taken) / len(taken) for rule, taken in self._taken.items()}
        spent = sum(map(sum, self._taken.values()))
        other = spent / sum(map(len, self._taken.values()))
        work = sum(count * means.get(rule, other) for rule, count in self._left.items())
        for job, start in self._started.items():
            rule = self._jobs[job][0] if job in self._jobs else ""
            work -= min(now - start, means.get(rule, other))
            spent += now - start
        side_by_side = spent / (now - self._begin) if now > self._begin else 1.0
        return work / max(side_by_side, 1e-9)


def _spaced(rule: str) -> str:
    return rule.replace("_", " ")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _about(seconds: float) -> str:
    if seconds < 55:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    if seconds < 5400:
        return f"about {round(seconds / 60):.0f} min"
    return f"about {seconds / 3600:.1f} h"
