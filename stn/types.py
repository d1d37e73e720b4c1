"""Shapes of the tensors that travel between the parts.

Axes: b batch, c channels, h height, w width, n points, p parameters of one theta, k classes. Points are (x, y); see
`stn.coordinates` for the one convention they follow.
"""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b c h w"]
Sampled = Float[Tensor, "b c h_out w_out"]
Grid = Float[Tensor, "b h_out w_out 2"]
Points = Float[Tensor, "b n 2"]
Theta = Float[Tensor, "b p"]
Matrix = Float[Tensor, "b 2 3"]
Logits = Float[Tensor, "b k"]
