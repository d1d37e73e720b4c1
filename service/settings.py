"""What an operator can set, by environment variable `STN_...` or by the command's arguments."""

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.observing.logs import LogFormat
from service.preparing.plan import Runtime


class Settings(BaseSettings):
    """The service's settings; each field is read from the environment variable `STN_` + its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix="STN_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True
    )

    home: Path = Path("stn-data")
    """Folder of run folders (`runs/`) and served models (`models/`)."""
    storage: str = ""
    """Where models, data sets and run folders lie for several machines: a mounted path or a URL such as s3://BUCKET/PREFIX;
    empty: in STN_HOME. Its address and keys are those that its own tools read, such as AWS_ENDPOINT_URL."""
    max_cache_bytes: int = Field(default=20 * 2**30, ge=1)
    """Most bytes of copies of models and data sets of STN_STORAGE in STN_HOME/fetched; those in use stay beyond it."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that answer requests; each has the models in memory, and a GPU of its own where there are several."""
    run_jobs: bool = True
    """With `stn up`, run training jobs too, in a process of its own; otherwise `stn worker` does, here or elsewhere."""
    default_model: str | None = None
    """Model that answers when a request names none; otherwise the one that was registered first."""
    max_body_bytes: int = Field(default=32 * 2**20, ge=1)
    """Largest request body."""
    max_images: int = Field(default=64, ge=1)
    """Most images in one request."""
    max_pixels: int = Field(default=32_000_000, ge=1)
    """Most pixels (width x height) of one posted picture."""
    max_request_pixels: int = Field(default=256_000_000, ge=1)
    """Most pixels of all pictures of one request together, as their headers declare them."""
    max_decoding: int = Field(default=2, ge=1)
    """Most requests whose pictures are decoded at a time; each may take 16 bytes of memory per pixel."""
    max_waiting: int = Field(default=256, ge=1)
    """Most images of one model that are taken and not answered yet; beyond it requests are answered 429."""
    refusal_seconds: float = Field(default=1.0, ge=0, le=10, allow_inf_nan=False)
    """How long the answer 429 of a prediction is held back: who tries again at once must not take the machine. Many are held
    back for longer; 0 for not at all."""
    deadline_seconds: float = Field(default=30.0, gt=0, allow_inf_nan=False)
    """How long a prediction may take before it is answered 504; a request may ask for less in X-Request-Timeout."""
    max_models: int = Field(default=16, ge=1)
    """Most model versions in memory; the one used least recently makes room, and is loaded again when it is asked for."""
    max_model_bytes: int = Field(default=2**30, ge=1)
    """Largest model file that can be uploaded."""
    max_batch: int = Field(default=64, ge=1)
    """Most images in one pass through the network."""
    runtimes: Annotated[tuple[Runtime, ...], NoDecode] = ("onnxruntime", "eager")
    """Runtimes of which the fastest serves a model, for each size of batch, by measuring when it is first loaded; one alone
    fixes it. `compiled` (torch's compiler) takes a C++ compiler, and a minute for each model."""
    device: str = "auto"
    """Where networks run: `cpu`, `cuda:0` ..., or `auto` for a GPU where there is one."""
    threads: int | None = Field(default=None, ge=1)
    """Threads for the work on one batch; by default half of the cores that a process has, for the
    other half reads and answers requests."""
    cache: Path = Path("")
    """Folder of what was prepared of models for this machine; it may be deleted at any time. STN_HOME/cache by default."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long accepted requests may take to be answered after a stop was asked for."""
    drain_delay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Seconds after a stop was asked for in which requests are still accepted, while the probe says that it is not ready."""
    log_format: LogFormat = "text"
    """How the log is written: `text` to be read, `json` to be collected, one object a line."""
    log_requests: bool = False
    """Write a line for every request; those that fail with 500 have one in any case."""
    otel_endpoint: str | None = None
    """Address of an OpenTelemetry collector (OTLP over HTTP), http://HOST:4318, which gets a span for every request."""

    database: str = Field(default="", exclude=True, repr=False)
    """Where jobs are kept: sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME; STN_HOME/jobs.sqlite by default.
    A password belongs in the environment, or in a file: lists of processes show arguments."""
    database_password_file: Path | None = None
    """File with the password of the user of that database, as containers get their secrets."""
    executor: Literal["local", "ray"] = "local"
    """Where a worker's jobs are trained: on its own machine, or in a Ray cluster."""
    ray_address: str = Field(default="http://127.0.0.1:8265", pattern="^https?://[^/]+/?$")
    """Dashboard of the Ray cluster; its token is read where Ray reads it (RAY_AUTH_MODE, RAY_AUTH_TOKEN ...)."""
    ray_slots: int = Field(default=8, ge=1, le=4096)
    """Devices, GPUs or trainings on the CPU, that a worker asks of the Ray cluster at a time."""
    ray_cpus: float = Field(default=1.0, gt=0, le=1024)
    """Processors that a job asks of the Ray cluster for each device, and threads that it has."""
    ray_home: str = Field(default="~/.cache/stn", min_length=1)
    """With STN_STORAGE, folder of each machine of the Ray cluster for run folders of its trainings, data sets and copies."""
    slots: int = Field(default=1, ge=1, le=1024)
    """Jobs that a worker runs at a time on a machine without GPUs."""
    retries: int = Field(default=5, ge=0, le=1000)
    """How often a job is started again after crashes without a new checkpoint in between."""
    stop_seconds: float = Field(default=20.0, ge=0, le=3600, allow_inf_nan=False)
    """How long a training that was asked to end may take before it is killed."""
    stall_seconds: float = Field(default=300.0, ge=60, le=2_592_000, allow_inf_nan=False)
    """How long a training may do nothing, neither a batch nor a line nor work of the processor, before it is killed and
    tried again from its last checkpoint; six times as long where it works and does no batch."""
    give_way: bool = True
    """Without GPUs, trainings let everybody else on the machine go first: where all processors are busy, they get a tenth
    of what others get."""
    pulse: Path | None = None
    """File that a worker touches every second as long as its loop goes round, for who looks whether it does."""
    data: Path = Path("")
    """Folder of torchvision's data sets, which jobs download to; STN_HOME/data by default."""
    max_dataset_bytes: int = Field(default=2**30, ge=1)
    """Largest file of a data set that can be uploaded."""
    max_dataset_images: int = Field(default=200_000, ge=1)
    """Most pictures of an uploaded data set."""
    max_dataset_unpacked_bytes: int = Field(default=8 * 2**30, ge=1)
    """Most bytes that the files of an uploaded data set have when they are unpacked."""

    keys_file: Path | None = None
    """File of keys; by default keys.json in the home folder. Where it exists, requests need a key."""
    allow_anonymous: bool = False
    """Without keys, listen on any address all the same, and let everybody who reaches it do everything."""
    publish: str | None = None
    """Where a container's port is published, such as 127.0.0.1:8000; says who reaches the service, instead of host."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Without keys, names by which the service may be addressed besides localhost and 127.0.0.1."""
    rate_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Requests per second of a key that has no rate of its own and, without keys, of one client address."""
    open_metrics: bool = False
    """Answer GET /metrics without a key."""
    max_held_bytes: int = Field(default=256 * 2**20, ge=1)
    """Most bytes of all request bodies that are held in memory at a time; beyond it requests are answered 429."""

    @model_validator(mode="after")
    def _with_password(self) -> "Settings":
        if self.database_password_file is None:
            return self
        before, at, host = self.database.partition("@")
        scheme, _, user = before.partition("://")
        if not at or not user:
            raise ValueError(
                "database must name its user where database_password_file is given, as in postgresql://USER@HOST"
            )
        try:
            password = quote(self.database_password_file.read_text().strip(), safe="")
        except OSError as error:
            raise ValueError(f"database_password_file must be readable, got {error}") from None
        # Settings are frozen once they are made, which they are not yet.
        object.__setattr__(self, "database", f"{scheme}://{user.partition(':')[0]}:{password}@{host}")
        return self

    @field_validator("allowed_hosts", "runtimes", mode="before")
    @classmethod
    def _split(cls, names: object) -> object:
        return names.replace(",", " ").split() if isinstance(names, str) else names

    @model_validator(mode="after")
    def _one_body_fits(self) -> "Settings":
        if self.max_held_bytes < self.max_body_bytes:
            raise ValueError(
                f"max_held_bytes must be at least max_body_bytes ({self.max_body_bytes}), got {self.max_held_bytes}"
            )
        return self

    @property
    def keys_path(self) -> Path:
        return self.keys_file or self.home / "keys.json"

    @model_validator(mode="after")
    def _one_request_fits(self) -> "Settings":
        for name in ("max_waiting", "max_batch"):
            if getattr(self, name) < self.max_images:
                raise ValueError(f"{name} must be at least max_images ({self.max_images}), got {getattr(self, name)}")
        if not self.runtimes:
            raise ValueError("runtimes must be at least one name, got none")
        return self

    def cores(self) -> int:
        """Cores that each process has."""
        return max(1, len(os.sched_getaffinity(0)) // self.workers)

    def runtime_threads(self) -> int:
        """Threads for the work on one batch."""
        return self.threads or max(1, self.cores() // 2)

    @property
    def prepared(self) -> Path:
        return self.cache if self.cache.parts else self.home / "cache"

    @property
    def fetched(self) -> Path:
        return self.home / "fetched"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def runs(self) -> Path:
        return self.home / "runs"

    @property
    def job_database(self) -> str:
        """The address of the database of jobs; it may hold a password."""
        return self.database or f"sqlite:///{(self.home / 'jobs.sqlite').absolute()}"

    @property
    def torchvision_data(self) -> Path:
        return self.data if self.data.parts else self.home / "data"


def handed_over(settings: Settings) -> tuple[str, dict[str, str]]:
    """The settings for another process: its argument, and what its environment has because arguments are seen by others."""
    return settings.model_dump_json(), {"STN_DATABASE": settings.database}


def taken_over(argument: str) -> Settings:
    """The settings that `handed_over` gave to this process."""
    return Settings.model_validate_json(argument).model_copy(update={"database": Settings().database})


class ClientSettings(BaseSettings):
    """What a client reads from the environment."""

    model_config = SettingsConfigDict(env_prefix="STN_", env_ignore_empty=True, use_attribute_docstrings=True)

    url: str | None = None
    """Address of the service that `stn jobs` and `stn datasets` ask."""
    key: SecretStr = SecretStr("")
    """Sent to the service that is asked; none where it is empty."""


def client_key() -> str | None:
    """The key of the environment variable STN_KEY, if there is one."""
    return ClientSettings().key.get_secret_value() or None
