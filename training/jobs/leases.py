"""Which workers are gone: by their own process where it was of this place, by their silence elsewhere."""

from collections.abc import Sequence

from training.jobs.identity import is_gone
from training.jobs.job import Job


class Leases:
    """The beats of other workers' jobs, by this process's own monotonic clock; nobody compares times of day.

    Args:
        seconds: of silence after which a job may be taken over.
        place: this one.
    """

    def __init__(self, seconds: float, place: str) -> None:
        self.seconds = seconds
        self.place = place
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._looked = 0.0

    def expired(self, jobs: Sequence[Job], now: float) -> list[Job]:
        """Those of other workers' jobs that may be taken over.

        Silence counts only while this process looked often enough to have heard something: not while the database was gone,
        and not while the process stood still itself.
        """
        if now - self._looked > self.seconds / 3:
            self._seen.clear()
        self._looked = now
        beats = {job.id: (job.attempt, job.beat) for job in jobs}
        self._seen = {
            job: (beat, self._seen[job][1] if job in self._seen and self._seen[job][0] == beat else now)
            for job, beat in beats.items()
        }
        return [
            job
            for job in jobs
            if is_gone(job.worker or "", job.place, self.place) or now - self._seen[job.id][1] >= self.seconds
        ]

    def forget(self) -> None:
        """Begin to count anew: who cannot write cannot give a sign of life."""
        self._seen.clear()
