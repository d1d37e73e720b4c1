"""The JSON of jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from training.jobs.states import ENDED, Asked, Failure, State

EXAMPLE_ID = "01kb0a5cw8f3g7h2jq"
ID_PATTERN = "^[0-9a-z]{1,32}$"
LARGEST = 2**31 - 1
"""Number of an event."""


class _Schema(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid")


class Preset(_Schema):
    """A config for a known task."""

    name: str
    description: str
    config: dict[str, Any]
    """All of it. `data.name` is left out where it is for pictures of your own, which are to be named."""


class TrainingForm(_Schema):
    """What a job may be asked for."""

    config_schema: dict[str, Any] = Field(alias="schema")
    """The JSON Schema of the training config, which `POST /v1/jobs` takes; the schemas of its parts are in `$defs`."""
    presets: list[Preset]
    datasets: list[str]
    """Data sets that need no upload, for `data.name`; those of this service are in `/v1/datasets`."""


class JobModel(_Schema):
    """The version of a model that a job's best weights have become."""

    name: str
    version: int
    link: str
    """Path of its description."""


class JobLinks(_Schema):
    """Paths of what there is about a job."""

    self: str
    events: str
    metrics: str
    logs: str
    checkpoints: str
    artifacts: str
    report: str | None
    """The page with its scores, curves and mistakes, once it is written."""


class Job(_Schema):
    """A training, or the measurement of a model: then `task` of its config is `invariance`."""

    id: str
    """Ids sort by the time of creation."""
    name: str
    """Of the model that it trains or measures."""
    state: State
    reason: str
    """Why it is in this state."""
    waiting: str | None
    """Why nothing happens to it, where that is known: for what it waits, or that its worker has given no sign of life."""
    failure: Failure | None
    """Of a failed one: a `mistake` in the config or the data, `resources` such as a full disk, or a `crash`."""
    stopped: bool
    """It succeeded because it was stopped, with the best weights until then."""
    asked: Asked | None
    """What was asked for and is still to be done."""
    attempt: int
    """How often it was started or taken over by another worker."""
    crashes: int
    """In a row, without a new checkpoint between them."""
    devices: int
    """GPUs that it takes; on a machine without, slots."""
    gpus: list[str]
    """Those that it runs on, or ran on last."""
    worker: str | None
    """Who runs it, or ran it last."""
    owner: str | None
    """Name of the key that created it."""
    created: datetime
    updated: datetime
    started: datetime | None
    finished: datetime | None
    step: int
    """Steps done; of a measurement the moved pictures that were named."""
    steps: int | None
    """Of so many, once that is known."""
    eta_seconds: float | None
    """Estimate of the time that is left."""
    scores: dict[str, float] | None
    """Of the best weights, on test pictures that were not trained on; of a measurement the `accuracy` without a movement."""
    model: JobModel | None
    """What its best weights have become."""
    dataset: str | None
    """The service's own data set that it uses."""
    config: dict[str, Any]
    """The whole config: of a training, or of a measurement with `task`, `version`, `data` and, as `invariance`, how the
    model is tried."""
    links: JobLinks

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Jobs(_Schema):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None
    """The id to go on `after`; None on the last page."""


class JobEvent(_Schema):
    """Something that happened to a job."""

    id: int
    """1, 2, 3 ... of each job, without gaps."""
    time: datetime
    kind: Literal["state", "progress", "metrics", "sample"]
    data: dict[str, Any]
    """`state`: state, reason, asked, attempt. `progress`: step, steps, loss, eta_seconds. `metrics`: a line of the metrics.
    `sample`: a step after which the probe has a new frame, and the name of a picture among the artifacts, or null."""


class JobEvents(_Schema):
    """A page of events, in their order."""

    events: list[JobEvent]
    next: int
    """The id to go on `after`, also where more are still to come."""
    state: State
    """Of the job; where it has ended and there are no events, there will be no more unless it is resumed."""


class JobMetrics(_Schema):
    """What was measured at each validation."""

    metrics: list[dict[str, float]]


DataUri = Annotated[str, Field(pattern=r"^data:image/png;base64,[A-Za-z0-9+/]+=*$")]


class ProbePicture(_Schema):
    """A test picture that the network is shown at every validation."""

    image: DataUri
    """As the network sees it, of at most 64x64 pixels; a larger one is shrunk. Of an aligner, the moving one."""
    fixed: DataUri | None = None
    """Of an aligner, the picture that it is laid on."""
    class_name: str | None = Field(alias="class")
    """What it shows."""


class ProbePictures(_Schema):
    """All of them."""

    pictures: list[ProbePicture]


class ProbeItem(_Schema):
    """What the network makes of a picture."""

    transformed: DataUri
    """What its class layers saw: the picture itself where there is no transformer. Of an aligner, both pictures on each
    other: the moving one in red, the fixed one in cyan, grey where they agree."""
    outline: list[tuple[FiniteFloat, FiniteFloat]]
    """The border of the sampled region as points (x, y) in pixels of the picture, clockwise from the one that becomes the
    upper left corner."""
    class_name: str | None = Field(alias="class")
    """Its guess; null of an aligner."""
    probability: FiniteFloat
    """Of the guess; of an aligner, its confidence."""
    distance: FiniteFloat | None = None
    """Of an aligner: of points from where they belong, in the mean, in pixels of the picture as it was."""


class ProbeFrame(_Schema):
    """What the network makes of all pictures after a step."""

    step: int
    epoch: FiniteFloat
    items: list[ProbeItem]
    """One for each picture."""


class Probe(_Schema):
    """The filmstrip of a training: the same pictures at one validation after the other."""

    pictures: list[ProbePicture]
    frames: list[ProbeFrame]
    """In the order of their steps. Where there are many validations, not each has one."""


class Checkpoint(_Schema):
    """A state of the training that is kept to go on from, or for its weights."""

    name: str
    bytes: int
    time: datetime
    """When it was written."""
    step: int | None
    """None where the run does not tell."""


class Checkpoints(_Schema):
    """Those that there are now."""

    checkpoints: list[Checkpoint]


class Artifact(_Schema):
    """A file that a job has made."""

    path: str
    bytes: int
    time: datetime
    """When it was written."""
    type: str
    """Its media type."""
    link: str


class Artifacts(_Schema):
    """Those that there are now."""

    artifacts: list[Artifact]
