"""The distortions of the paper's MNIST experiments, by name. A new one is one entry here."""

from training.config import DistortionConfig

DISTORTIONS: dict[str, DistortionConfig] = {
    "R": DistortionConfig(rotation=90.0),
    "RTS": DistortionConfig(rotation=45.0, scale=(0.7, 1.2), translation=True, size=(42, 42)),
    "P": DistortionConfig(scale=(0.75, 1.0), corners=5.0),
    "E": DistortionConfig(scale=(0.75, 1.0), elastic=1.5),
    "TC": DistortionConfig(translation=True, clutter=6, clutter_size=6, size=(60, 60)),
}
"""Of pictures of 28x28 pixels. Source: Jaderberg et al. 2015, section 4.1 and appendix A; docs/distortions.md."""
