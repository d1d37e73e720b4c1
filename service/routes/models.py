"""`GET /v1/models`: what is served."""

from fastapi import APIRouter, Request

from service.model_store import ModelStore, Served
from service.schemas import Model, Models, ModelVersion, ProblemDocument, RefusedFile

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
async def list_models(request: Request) -> Models:
    """Every model with its versions, and the files in the models folder that are not served, with the reason."""
    store: ModelStore = request.app.state.models
    default = store.default_name()
    return Models(
        default_model=default if default in store.served else None,
        models=[_describe(store, name) for name in sorted(store.served)],
        refused=[RefusedFile(file=refused.file, reason=refused.reason) for refused in store.refused],
    )


@router.get("/{name}", responses={404: {"model": ProblemDocument, "description": "No such model."}})
async def get_model(request: Request, name: str) -> Model:
    """One model: its versions, input, classes, scores and where its weights come from."""
    store: ModelStore = request.app.state.models
    return _describe(store, store.find(name).name)


def _describe(store: ModelStore, name: str) -> Model:
    versions = store.served[name]
    return Model(
        name=name,
        default_version=store.find(name).version,
        versions=[_describe_version(versions[version]) for version in sorted(versions)],
    )


def _describe_version(served: Served) -> ModelVersion:
    info = served.info
    return ModelVersion(
        version=served.version,
        classifier=info.config.classifier,
        transform=None if info.config.transform == "none" else info.config.transform,
        channels=info.input.channels,
        height=info.input.height,
        width=info.input.width,
        class_names=list(info.class_names),
        scores=dict(info.scores),
        provenance=dict(info.provenance),
    )
