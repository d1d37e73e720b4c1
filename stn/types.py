"""Shapes of the tensors that travel between the parts.

Axes: b batch, c channels, h height, w width, n points, p parameters of one theta, k classes, r rows of a matrix (2, or 3
where the map divides), m functions of a basis. Points are (x, y); see `stn.coordinates` for the one convention they follow.
"""

from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "b c h w"]
Sampled = Float[Tensor, "b c h_out w_out"]
Grid = Float[Tensor, "b h_out w_out 2"]
Points = Float[Tensor, "b n 2"]
Planes = Float[Tensor, "b 2 n"]
Theta = Float[Tensor, "b p"]
Matrix = Float[Tensor, "b r 3"]
Basis = Float[Tensor, "*b m n"]
Coefficients = Float[Tensor, "b r m"]
Logits = Float[Tensor, "b k"]
