"""What an operator can set, by environment variable `STN_...` or by the command's arguments."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """The service's settings; each field is read from the environment variable `STN_` + its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="STN_", frozen=True, use_attribute_docstrings=True)

    home: Path = Path("stn-data")
    """Folder of run folders (`runs/`) and served models (`models/`)."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    default_model: str | None = None
    """Model that answers when a request names none; otherwise the one that was registered first."""
    max_body_bytes: int = Field(default=32 * 2**20, ge=1)
    """Largest request body."""
    max_images: int = Field(default=64, ge=1)
    """Most images in one request."""
    max_pixels: int = Field(default=32_000_000, ge=1)
    """Most pixels (width x height) of one posted picture."""
    max_decoding: int = Field(default=2, ge=1)
    """Most requests whose pictures are decoded at a time; each may take 16 bytes of memory per pixel."""
    max_waiting: int = Field(default=1024, ge=1)
    """Most images of one model that wait for their prediction; beyond it requests are answered 429."""
    max_batch: int = Field(default=64, ge=1)
    """Most images in one pass through the network."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long accepted requests may take to be answered after a stop was asked for."""

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

    @field_validator("allowed_hosts", mode="before")
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
        if self.max_waiting < self.max_images:
            raise ValueError(f"max_waiting must be at least max_images ({self.max_images}), got {self.max_waiting}")
        return self

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def runs(self) -> Path:
        return self.home / "runs"
