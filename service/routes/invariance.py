"""`/v1/models/NAME/invariance`: how far a model keeps up when its pictures are moved, measured by a job."""

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request, Response

from service.jobs import schemas
from service.jobs.parameters import AWAY, answered, database_of, key_header, owner_of, posted
from service.jobs.wanted import measured, version_of
from service.models.choice import refused_problem, task_of
from service.openapi.jobs import INVARIANCE, LOCATION
from service.openapi.problems import document_problems
from service.problems import Problem
from service.routes.models import Name
from stn.model_info import DOES
from training.jobs.job import Job

if TYPE_CHECKING:
    from training.jobs.store import JobStore

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.post(
    "/{name}/invariance",
    status_code=202,
    responses={
        202: {"description": "The job waits for a worker, or it had been made before.", "headers": LOCATION},
        **document_problems(
            {
                400: "The body is not JSON.",
                404: "There is no model or version of that name.",
                409: "The model names no classes, or the version's file is refused, with this reason.",
                413: "The body is too large.",
                415: "The body is not declared as JSON.",
                422: "A field is unknown or wrong, the data set does not exist, or the idempotency key is no key, or came "
                "before with another body.",
                503: AWAY,
            }
        ),
    },
    openapi_extra={"requestBody": INVARIANCE},
)
async def post_invariance(
    request: Request,
    response: Response,
    name: Name,
    key: Annotated[str | None, key_header("0b9e6a51-7c1d-4c0e-8e0f-3a5d2f61c7b8")] = None,
) -> schemas.Job:
    """Measure by a job how far a model keeps up when its pictures are moved.

    The job is one of `/v1/jobs`; its report says in which range of each movement the model keeps 99 %, 95 % and 90 % of its
    accuracy, and how far its transformer undoes the movement. The pictures are test pictures of the model's own data, or of
    another data set.
    """
    values = await posted(request)
    owner, body = owner_of(request), {"invariance": name, "body": values}
    made = None
    if key is not None:  # also where the version has been deleted meanwhile
        made = await database_of(request).ask(lambda store: store.known(owner, key, body))
    if made is None:
        entry = await request.app.state.models.locate(name, version_of(values))
        if entry.reason is not None:
            raise refused_problem(entry)
        if task_of(entry) != "classify":
            raise Problem(409, f"version {entry.version} of model {name}: {DOES[task_of(entry)]}")
        settings = request.app.state.settings

        def create(store: "JobStore") -> Job:
            with measured(values, entry, settings) as wanted:
                return store.create(wanted.config, owner=owner, key=key, dataset=wanted.dataset, posted=body)[0]

        made = await database_of(request).ask(create)
    job = await answered(request, lambda _: made)
    response.headers["Location"] = job.links.self
    return job
