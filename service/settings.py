"""What an operator can set, by environment variable `STN_...` or by the command's arguments."""

from pathlib import Path

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    max_models: int = Field(default=16, ge=1)
    """Most model versions in memory; the one used least recently makes room, and is loaded again when it is asked for."""
    max_model_bytes: int = Field(default=2**30, ge=1)
    """Largest model file that can be uploaded."""
    max_batch: int = Field(default=64, ge=1)
    """Most images in one pass through the network."""
    drain_seconds: int = Field(default=20, ge=0)
    """How long accepted requests may take to be answered after a stop was asked for."""

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
