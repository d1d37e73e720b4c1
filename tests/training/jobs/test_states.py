"""What each verb makes of each state, as one table."""

from typing import get_args

import pytest

from training.jobs import states
from training.jobs.states import ENDED, HELD, NEXT, STATES, Asked, Change, Forbidden, Standing, State

VERBS = {"cancel": states.cancel, "stop": states.stop, "resume": states.resume, "delete": states.delete}
REFUSED = "refused"
SAME = "same"

# state, asked, begun, stopped: where cancel, stop, resume and delete lead, as (state, asked)
GONE = ("cancelled", None)
CANCELLING = ("stopping", "cancel")
STOPPING = ("stopping", "stop")
AGAIN = ("queued", None)
TABLE = {
    ("queued", None, False, False): (GONE, REFUSED, REFUSED, REFUSED),
    ("queued", None, True, False): (GONE, ("queued", "stop"), REFUSED, REFUSED),
    ("queued", "stop", True, False): (GONE, SAME, REFUSED, REFUSED),
    ("interrupted", None, False, False): (GONE, REFUSED, REFUSED, REFUSED),
    ("interrupted", None, True, False): (GONE, ("interrupted", "stop"), REFUSED, REFUSED),
    ("interrupted", "stop", True, False): (GONE, SAME, REFUSED, REFUSED),
    ("interrupted", "cancel", True, False): (GONE, REFUSED, REFUSED, REFUSED),
    ("starting", None, False, False): (CANCELLING, STOPPING, REFUSED, REFUSED),
    ("starting", None, True, False): (CANCELLING, STOPPING, REFUSED, REFUSED),
    ("starting", "stop", True, False): (CANCELLING, SAME, REFUSED, REFUSED),
    ("running", None, True, False): (CANCELLING, STOPPING, REFUSED, REFUSED),
    ("stopping", "stop", True, False): (CANCELLING, SAME, REFUSED, REFUSED),
    ("stopping", "cancel", True, False): (SAME, REFUSED, REFUSED, REFUSED),
    ("succeeded", None, True, False): (REFUSED, REFUSED, REFUSED, None),
    ("succeeded", None, True, True): (REFUSED, REFUSED, AGAIN, None),
    ("failed", None, True, False): (REFUSED, REFUSED, AGAIN, None),
    ("cancelled", None, False, False): (REFUSED, REFUSED, AGAIN, None),
    ("cancelled", None, True, False): (REFUSED, REFUSED, AGAIN, None),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("standing", TABLE, ids=str)
def test_a_verb_leads_where_the_table_says(standing: tuple, verb: str) -> None:
    expected = TABLE[standing][[*VERBS].index(verb)]
    job = Standing(*standing)
    if expected == REFUSED:
        with pytest.raises(Forbidden, match=rf"^{verb} needs .*, and the job is {job.state}$") as refusal:
            VERBS[verb](job)
        assert refusal.value.state == job.state
        return
    change = VERBS[verb](job)
    if expected in (SAME, None):
        assert change is None
        return
    assert isinstance(change, Change) and change.reason
    assert (change.state, change.asked) == expected
    assert change.state == job.state or change.state in NEXT[job.state]


def test_the_table_has_every_state() -> None:
    assert {standing[0] for standing in TABLE} == {*STATES} == {*get_args(State)} == {*NEXT}


def test_every_state_is_waiting_held_or_ended() -> None:
    assert {*STATES} == {"queued", "interrupted", *HELD, *ENDED}


def test_the_same_verb_again_gives_the_same_answer() -> None:
    """What a verb leads to is a standing in which that verb changes nothing, or is refused because the job has ended."""
    for standing in TABLE:
        for verb in (states.cancel, states.stop):
            job = Standing(*standing)
            try:
                change = verb(job)
            except Forbidden:
                continue
            after = job if change is None else job._replace(state=change.state, asked=change.asked)
            if after.state not in ENDED:
                assert verb(after) is None


@pytest.mark.parametrize("asked", [None, *get_args(Asked)])
def test_every_standing_has_an_answer_or_a_refusal(asked: Asked | None) -> None:
    for state in STATES:
        for begun in (False, True):
            for verb in VERBS.values():
                try:
                    change = verb(Standing(state, asked, begun))
                except Forbidden:
                    continue
                assert change is None or change.state == state or change.state in NEXT[state]
