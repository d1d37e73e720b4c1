"""A client of the service for Python programs, blocking (`Client`) or not (`AsyncClient`).

Images go in as paths, bytes, PIL images or arrays, and predictions come out as arrays and PIL images. What the service
refuses for the moment is asked again. Neither torch nor a model is needed here.
"""

from service.client.align_calls import Aligned
from service.client.arrays import Arrays
from service.client.async_jobs import AsyncJobsClient
from service.client.asynchronous import AsyncClient
from service.client.blocking import Client
from service.client.blocking_jobs import JobsClient
from service.client.errors import (
    Conflict,
    DeadlinePassed,
    NoAnswer,
    NotAllowed,
    NotFound,
    Overloaded,
    ServiceError,
    StrangeAnswer,
    TooLarge,
    Unavailable,
    WrongRequest,
)
from service.client.images import ImageLike
from service.client.predictions import Prediction, Theta

__all__ = [
    "Aligned",
    "Arrays",
    "AsyncClient",
    "AsyncJobsClient",
    "Client",
    "Conflict",
    "DeadlinePassed",
    "ImageLike",
    "JobsClient",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "Overloaded",
    "Prediction",
    "ServiceError",
    "StrangeAnswer",
    "Theta",
    "TooLarge",
    "Unavailable",
    "WrongRequest",
]
