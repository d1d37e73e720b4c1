"""From a network's prediction to the JSON that a user reads, the same over HTTP and in the terminal."""

from service.images import Picture, data_uri, png
from service.predictor import Prediction
from service.schemas import ImagePrediction, Theta
from stn import ModelInfo


def describe(picture: Picture, prediction: Prediction, info: ModelInfo) -> ImagePrediction:
    """Class, probabilities, theta, outline in pixels of the picture, and the transformed image."""
    probabilities = dict(zip(info.class_names, prediction.probabilities.tolist(), strict=True))
    best = max(probabilities, key=probabilities.__getitem__)
    return ImagePrediction(
        **{"class": best},
        probability=probabilities[best],
        probabilities=probabilities,
        theta=describe_theta(prediction, info),
        outline=picture.from_input(prediction.outline).tolist(),
        width=picture.width,
        height=picture.height,
        transformed=data_uri(png(prediction.transformed)),
    )


def describe_theta(prediction: Prediction, info: ModelInfo) -> Theta | None:
    """theta by parameter name and as a matrix, or None where the network has no transformer."""
    if prediction.theta is None:
        return None
    return Theta(
        transform=info.config.transform,
        parameters=dict(zip(prediction.parameter_names, prediction.theta.tolist(), strict=True)),
        matrix=None if prediction.matrix is None else prediction.matrix.tolist(),
    )
