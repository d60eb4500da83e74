"""How far a run has come: a line for each finished job, a line for a job that runs long, and the time that is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from math import sqrt
from statistics import fmean, stdev

# How a wildcard is said; seed 0 and no recovery are not worth a word.
SAID = {"mask": "at {}", "targets": "→ {}", "seed": "seed {}"}
UNSAID = {("seed", "0"), ("recovery", "none")}
LONG = 60.0  # seconds after which a job that has not finished gets a line
NAMED = 3  # such jobs that one line names
SURE = 1 / 3  # of the time that is left: a larger standard error makes it not worth telling


class Progress:
    """What a run's jobs are and what they took so far. Times are seconds since any fixed moment."""

    def __init__(self) -> None:
        self._total = 0
        self._left: Counter[str] = Counter()  # jobs that have not finished, by rule
        self._jobs: dict[int, tuple[str, str]] = {}  # rule and description
        self._logs: dict[int, str] = {}  # where to look, of jobs that no line has told of yet
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

    def describe(self, job: int, rule: str, wildcards: Mapping[str, str], log: str) -> None:
        """What job number `job` is, and where its log lies."""
        said = [SAID.get(name, "{}").format(value) for name, value in wildcards.items() if (name, value) not in UNSAID]
        self._jobs[job] = rule, " ".join([_spaced(rule), *said])
        self._logs[job] = log

    def start(self, jobs: Iterable[int], now: float) -> None:
        """Jobs start at `now`, or start again."""
        self._begin = now if self._begin is None else self._begin
        self._started.update(dict.fromkeys(jobs, now))

    def fail(self, job: int) -> None:
        """A job has failed; it may start again."""
        self._started.pop(job, None)

    def long(self, now: float) -> str | None:
        """The line of the jobs that have by now run for LONG seconds, with their logs; each is told of once."""
        jobs = [job for job, start in self._started.items() if now - start >= LONG and job in self._logs]
        if not jobs:
            return None
        told = [f"{self._jobs[job][1]} ({self._logs.pop(job)})" for job in jobs]
        more = [f"{len(told) - NAMED} more"] if len(told) > NAMED else []
        return f"{self._place()} {_clock(now - self._begin)}    running  {', '.join([*told[:NAMED], *more])}"

    def finish(self, job: int, now: float) -> str:
        """The line of a job that has finished at `now`: its place of all, the run's time, its own, what it is."""
        rule, what = self._jobs.pop(job)
        self._logs.pop(job, None)
        seconds = now - self._started.pop(job)
        self._taken[rule].append(seconds)
        self._left[rule] -= 1
        left = self.left(now)
        end = "" if left is None else f", about {_clock(round(left, -1))} left"
        return f"{self._place()} {_clock(now - self._begin)} {seconds:7.1f} s  {what}{end}"

    def left(self, now: float) -> float | None:
        """Seconds until all jobs are done; None while that is not known well enough to be of use.

        Each job that is left takes as long as its rule's mean so far, less what a running one has had of it; as many
        run at a time as have run side by side so far. A rule with one job left and none finished is taken for a job
        like all others. None, while a rule with several jobs left has finished none, or while the standard error of
        the sum, by how the jobs of each rule have differed so far, is more than SURE of it.
        """
        finished = [seconds for taken in self._taken.values() for seconds in taken]
        work = variance = 0.0
        means: dict[str, float] = {}
        for rule, count in (+self._left).items():
            taken = self._taken.get(rule)
            if taken is None and count > 1:
                return None
            taken = taken or finished
            means[rule] = fmean(taken)
            deviation = stdev(taken) if len(taken) > 1 else means[rule]
            work += count * means[rule]
            variance += deviation**2 * (count + count**2 / len(taken))
        if not work or sqrt(variance) > SURE * work:
            return None
        spent = sum(finished)
        for job, start in self._started.items():
            if job in self._jobs:
                work -= min(now - start, means[self._jobs[job][0]])
            spent += now - start
        side_by_side = spent / (now - self._begin) if now > self._begin else 1.0
        return work / max(side_by_side, 1e-9)

    def _place(self) -> str:
        """How many jobs have finished, of how many."""
        return f"[{self._total - self._left.total():{len(str(self._total))}}/{self._total}]"


def _spaced(rule: str) -> str:
    return rule.replace("_", " ")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
