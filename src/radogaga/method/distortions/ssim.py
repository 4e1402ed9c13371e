"""Structural similarity as a distortion between pictures, with its local metric in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from radogaga.errors import InputError
from radogaga.method.distortions.distortion import Distortion, products


@dataclass(frozen=True)
class _Structural(Distortion):
    """The windows, the constants and the metric that 1 - SSIM and its quadratic form share."""

    window: int = 11
    deviation: float = 1.5
    peak: float = 1.0

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return u' A(x) v of each picture, three tensors ``(B, C, H, W) -> (B,)``."""
        x, u, v = self._precise(x), self._precise(u), self._precise(v)
        m_x, m_u, m_v, xx, uv = self._means(x, u, v, x * x, u * v)
        c1, c2 = self._constants
        luminance = m_u * m_v / (2 * m_x * m_x + c1)
        structure = (uv - m_u * m_v) / (2 * (xx - m_x * m_x) + c2)
        return (luminance + structure).flatten(1).mean(1)

    def gram(self, x: Tensor, directions: Tensor) -> Tensor:
        """Return u_i' A(x) u_j of some directions of each picture, ``(B, C, H, W), (K, B, C, H, W) -> (B, K, K)``.

        With F the window's mean, l = 1 / (2 m_x^2 + C1), k = 1 / (2 s2_x + C2) and n windows, the closed form is
        [J' diag(F' k) J + (F J)' diag(l - k) (F J)] / n: one pass of the window for each direction, not for each pair.
        """
        x, u = self._precise(x), self._precise(directions)
        m_x, xx, *means = self._means(x, x * x, *u)
        m_u, n = torch.stack(means), m_x[0].numel()
        c1, c2 = self._constants
        structure = 1 / (2 * (xx - m_x * m_x) + c2)
        luminance = 1 / (2 * m_x * m_x + c1)
        down, across = self._weights(x.shape[-2], x), self._weights(x.shape[-1], x)
        spread = down.T @ structure @ across
        return (products(u, spread * u) + products(m_u, (luminance - structure) * m_u)) / n

    @property
    def _constants(self) -> tuple[float, float]:
        return (0.01 * self.peak) ** 2, (0.03 * self.peak) ** 2

    def _precise(self, picture: Tensor) -> Tensor:
        """Return the picture in at least 32 bits: a variance in a window is a small difference of large squares."""
        return picture.to(torch.promote_types(picture.dtype, torch.float32))

    def _means(self, *pictures: Tensor) -> tuple[Tensor, ...]:
        """Return the Gaussian mean of each picture over each whole window, ``(B, C, H, W) -> (B, C, H', W')``.

        The window is separable, and each of its two passes is a matrix product: many times as fast on a CPU as a
        depthwise convolution, and not subject to autocast's low precision.
        """
        if pictures[0].ndim != 4 or min(pictures[0].shape[2:]) < self.window:
            raise InputError(
                f"Expected pictures (B, C, H, W) of at least {self.window} x {self.window} pixels; got "
                f"{tuple(pictures[0].shape)}. Reshape them, or pass a smaller window."
            )
        stacked = torch.stack(pictures)
        down, across = self._weights(stacked.shape[-2], stacked), self._weights(stacked.shape[-1], stacked)
        with torch.autocast(stacked.device.type, enabled=False):
            return (down @ (stacked @ across.T)).unbind(0)

    def _weights(self, pixels: int, like: Tensor) -> Tensor:
        """Return the window's weights at each of its places along a line, ``(pixels - window + 1, pixels)``."""
        line = torch.arange(pixels, dtype=like.dtype, device=like.device)
        offset = line - line[: pixels - self.window + 1, None]
        weights = (-0.5 * ((offset - (self.window - 1) / 2) / self.deviation).square()).exp()
        weights = weights * ((offset >= 0) & (offset < self.window))
        return weights / weights.sum(1, keepdim=True)


@dataclass(frozen=True)
class SSIM(_Structural):
    """One minus the structural similarity of two pictures, averaged over Gaussian windows and channels.

    In a window with means m, variances s2 and the difference d = y - x,

        1 - SSIM = a + b - a b,    a = m_d^2 / (m_x^2 + m_y^2 + C1),    b = s2_d / (s2_x + s2_y + C2),

    which is the usual formula without cancellation near 0. Its metric is the mean over windows of

        u' A(x) v = m_u m_v / (2 m_x^2 + C1) + cov(u, v) / (2 s2_x + C2).

    It is a mean, as SSIM is quoted, not a sum over features, so weights are larger by the number of features. It is for
    values of one sign: -x is at almost no distance from x, so a decoder should start at the mean of the pictures.

    Parameters
    ----------
    window : int
        Side of the window in pixels; only windows inside the picture count.
    deviation : float
        Standard deviation of the window's Gaussian, in pixels.
    peak : float
        Range of the pixels' values, L: C1 = (.01 L)^2 and C2 = (.03 L)^2.

    References
    ----------
    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    IEEE Transactions on Image Processing 13, 2004.

    Examples
    --------
    >>> import torch
    >>> from radogaga import SSIM
    >>> black, white = torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16)
    >>> SSIM()(black, black), SSIM()(black, white)
    (tensor([0.]), tensor([0.9999]))
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return 1 - SSIM of each picture, ``(B, C, H, W), (B, C, H, W) -> (B,)``."""
        x, y = self._precise(x), self._precise(y)
        d = y - x
        m_x, m_d, squares, dd = self._means(x, d, x * x + y * y, d * d)
        c1, c2 = self._constants
        means = m_x * m_x + (m_x + m_d) * (m_x + m_d)
        a = m_d * m_d / (means + c1)
        b = (dd - m_d * m_d) / (squares - means + c2)
        return (a + b - a * b).flatten(1).mean(1)


@dataclass(frozen=True)
class QuadraticSSIM(_Structural):
    """The quadratic form of 1 - SSIM, D(x, y) = (y - x)' A(x) (y - x) with A that of `SSIM`.

    The authors' choice for the isometry term: it agrees with `SSIM` for small steps and, unlike it, is unbounded.

    Parameters
    ----------
    window : int
        Side of the window in pixels; only windows inside the picture count.
    deviation : float
        Standard deviation of the window's Gaussian, in pixels.
    peak : float
        Range of the pixels' values, L: C1 = (.01 L)^2 and C2 = (.03 L)^2.

    References
    ----------
    Kato et al., "Rate-distortion optimization guided autoencoder for isometric embedding in Euclidean latent space",
    ICML 2020.

    Examples
    --------
    >>> import torch
    >>> from radogaga import QuadraticSSIM, SSIM
    >>> x = torch.full((1, 1, 16, 16), 0.5)
    >>> SSIM()(x, x + 0.01), QuadraticSSIM()(x, x + 0.01)
    (tensor([0.0002]), tensor([0.0002]))
    """

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (y - x)' A(x) (y - x) of each picture, ``(B, C, H, W), (B, C, H, W) -> (B,)``."""
        x, y = self._precise(x), self._precise(y)
        return self.inner(x, y - x, y - x)
