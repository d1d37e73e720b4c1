"""`/v1/training/config`: what a training job may be asked for."""

from fastapi import APIRouter

from service.jobs.form import training_form
from service.jobs.schemas import TrainingForm

router = APIRouter(prefix="/v1/training", tags=["jobs"])


@router.get("/config")
async def get_training_config() -> TrainingForm:
    """The JSON Schema of a job's config, with descriptions and defaults; the presets; the data sets that need no upload."""
    return TrainingForm.model_validate(training_form())
