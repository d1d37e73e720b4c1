"""A new job, once for each idempotency key."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select

from training.jobs.database import plain, text
from training.jobs.job import Job, KeyReused
from training.jobs.rows import read
from training.jobs.tables import events, jobs

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's: none is taken for another, and they sort as their values


def create(
    connection: Connection,
    now: datetime,
    config: dict[str, Any],
    owner: str | None,
    key: str | None,
    dataset: str | None,
    posted: Any = None,
) -> tuple[Job, bool]:
    """The new job, or the one that this owner's key made before and False.

    Args:
        posted: what the key must come with again; the config, where it is None.

    Raises:
        KeyReused: that one has another config.
        sqlalchemy.exc.IntegrityError: another process made one with this key, or this id, at this moment.
    """
    config = plain(config)
    posted = [config, dataset] if posted is None else posted
    body = _hash(posted)
    if key is not None and (job := known(connection, owner, key, posted)) is not None:
        return job, False
    job_id = new_id(now, connection.scalar(select(func.max(jobs.c.id))))
    reason = "waits for a worker"
    connection.execute(
        insert(jobs).values(
            id=job_id,
            name=text(str(config.get("name", ""))),
            config=config,
            body=body,
            owner=owner or "",
            key=key,
            dataset=dataset,
            devices=_devices(config),
            state="queued",
            reason=reason,
            stopped=False,
            attempt=0,
            crashes=0,
            created=now,
            updated=now,
            step=0,
            gpus=[],
            beat=0,
            events=1,
        )
    )
    said = {"state": "queued", "reason": reason, "asked": None, "attempt": 0}
    connection.execute(insert(events).values(job=job_id, id=1, time=now, kind="state", data=said))
    return read(connection, job_id), True


def _devices(config: Mapping[str, Any]) -> int:
    """Of all its machines together."""
    trainer = config.get("trainer", {})
    return int(trainer.get("devices", 1)) * int(trainer.get("nodes", 1))


def known(connection: Connection, owner: str | None, key: str, posted: Any) -> Job | None:
    """The job that this owner's key made before, if there is one.

    Raises:
        KeyReused: the key came with something else then.
    """
    made = select(jobs.c.id, jobs.c.body).where(jobs.c.owner == (owner or ""), jobs.c.key == key)
    for job_id, body in connection.execute(made):
        if body != _hash(posted):
            raise KeyReused(f"idempotency key must come with the body it came with first, got another: {key!r}")
        return read(connection, job_id)
    return None


def new_id(now: datetime, last: str | None) -> str:
    """Milliseconds since 1970 and chance, in 18 letters and digits; it sorts after the last one also where the clock has
    been set back."""
    moment = int(now.timestamp() * 1000)
    if last is not None:
        moment = max(moment, _number(last[:10]) + 1)
    return _letters(moment, 10) + _letters(secrets.randbits(40), 8)


def _hash(posted: Any) -> str:
    return hashlib.sha256(json.dumps(plain(posted), sort_keys=True, allow_nan=False).encode()).hexdigest()


def _letters(number: int, length: int) -> str:
    return "".join(DIGITS[number >> 5 * place & 31] for place in reversed(range(length)))


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number << 5 | DIGITS.index(letter)
    return number
