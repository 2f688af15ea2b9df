"""From the highest cell of a heatmap to a fraction of a cell: the step that each codec adds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def quarter_steps(heatmaps: Tensor, cells: Tensor) -> Tensor:
    """A quarter cell towards the higher neighbour in x and in y (HRNet, CVPR 2019).

    The official code leaves peaks alone whose x or y is 0, 1 or the last cell.

    Args:
        heatmaps: ``(B, K, H, W)``, any floating type.
        cells: ``(B, K, 2)`` highest cell of each as (x, y).

    Returns:
        ``(B, K, 2)`` steps in cells to add to them.
    """
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.flatten(2)
    x, y = cells.long().unbind(-1)
    inner = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    index = torch.where(inner, y * width + x, width + 1)
    offsets = index.new_tensor([1, -1, width, -width])
    right, left, below, above = flat.gather(2, index[..., None] + offsets).float().unbind(-1)
    steps = torch.stack([right - left, below - above], dim=-1).sign() * 0.25
    return steps * inner[..., None]


def dark_steps(heatmaps: Tensor, cells: Tensor, blur_kernel: int) -> Tensor:
    """One Newton step on the logarithm of the blurred heatmap (DarkPose, CVPR 2020).

    Derivatives are central differences, the second ones over two cells on each side. Only the 5x5
    cells around the peak are blurred: the official code blurs everything and rescales to the old
    maximum, which adds a constant to the logarithm and so changes neither gradient nor Hessian.
    Peaks within two cells of the border are left alone, as there.

    Args:
        heatmaps: ``(B, K, H, W)``, any floating type.
        cells: ``(B, K, 2)`` highest cell of each as (x, y).
        blur_kernel: Odd width of the blur in cells.

    Returns:
        ``(B, K, 2)`` steps in cells to add to them.
    """
    height, width = heatmaps.shape[-2:]
    x, y = cells.long().unbind(-1)
    inner = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    log = _blurred_patches(heatmaps, x, y, 5, blur_kernel).clamp(min=1e-10).log()
    gradient_x = (log[..., 2, 3] - log[..., 2, 1]) / 2
    gradient_y = (log[..., 3, 2] - log[..., 1, 2]) / 2
    xx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    yy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    xy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    steps, solvable = _newton(gradient_x, gradient_y, xx, yy, xy)
    return torch.where((inner & solvable)[..., None], steps, torch.zeros_like(steps))


def udp_steps(heatmaps: Tensor, cells: Tensor, blur_kernel: int) -> Tensor:
    """DARK's Newton step as UDP takes it (Huang et al., CVPR 2020): compact derivatives.

    Second derivatives span one cell on each side; the logarithm is cut off at 1e-3 of a heatmap
    scaled back to its maximum before the blur; peaks on the border step too, their missing
    neighbours being copies of them. Arguments and result are as of `dark_steps`.
    """
    blurred = _blurred(heatmaps.float(), blur_kernel)
    peak = heatmaps.float().amax(dim=(2, 3))
    scale = peak / blurred.amax(dim=(2, 3)).clamp(min=1e-12)

    height, width = heatmaps.shape[-2:]
    x, y = cells.long().unbind(-1)
    offsets_x = x.new_tensor([0, 1, -1, 0, 0, 1, -1])
    offsets_y = x.new_tensor([0, 0, 0, 1, -1, 1, -1])
    column = (x[..., None] + offsets_x).clamp(0, width - 1)
    row = (y[..., None] + offsets_y).clamp(0, height - 1)
    near = blurred.flatten(2).gather(2, row * width + column)
    log = (near * scale[..., None]).clamp(1e-3, 50.0).log()
    here, right, left, below, above, below_right, above_left = log.unbind(-1)
    # The seventh point stands for all four corners: exact for a quadratic.
    xy = (below_right - right - below + 2 * here - left - above + above_left) / 2
    steps, solvable = _newton(
        (right - left) / 2,
        (below - above) / 2,
        right - 2 * here + left,
        below - 2 * here + above,
        xy,
        ridge=torch.finfo(torch.float32).eps,  # as in the reference: flat maps do not step
    )
    return torch.where(solvable[..., None], steps, torch.zeros_like(steps))


def _newton(
    gradient_x: Tensor, gradient_y: Tensor, xx: Tensor, yy: Tensor, xy: Tensor, ridge: float = 0.0
) -> tuple[Tensor, Tensor]:
    """``-H^-1 g`` for each peak, and whether that is a number.

    Its length has no bound, as in the reference implementations: on noise it may leave the crop.
    """
    xx, yy = xx + ridge, yy + ridge
    determinant = xx * yy - xy * xy
    solvable = determinant != 0
    step_x = xy * gradient_y - yy * gradient_x
    step_y = xy * gradient_x - xx * gradient_y
    safe = torch.where(solvable, determinant, torch.ones_like(determinant))
    steps = torch.stack([step_x, step_y], dim=-1) / safe[..., None]
    return steps, solvable & steps.isfinite().all(dim=-1)


def _blurred_patches(heatmaps: Tensor, x: Tensor, y: Tensor, size: int, kernel: int) -> Tensor:
    """``(B, K, size, size)`` cells of the blurred heatmaps around each peak; zeros lie outside."""
    reach = kernel // 2 + size // 2
    padded = functional.pad(heatmaps, [reach] * 4).float()
    side = torch.arange(2 * reach + 1, device=heatmaps.device)
    patch_index = (side[:, None] * padded.shape[-1] + side).flatten()
    corner = y * padded.shape[-1] + x
    patches = padded.flatten(2).gather(2, corner[..., None] + patch_index)
    patches = patches.reshape(*x.shape, len(side), len(side))
    weights = _blur_weights(kernel, heatmaps.device)
    matrix = torch.zeros(size, kernel + size - 1, device=heatmaps.device)
    for row in range(size):
        matrix[row, row : row + kernel] = weights
    return matrix @ patches @ matrix.T


def _blurred(heatmaps: Tensor, kernel: int) -> Tensor:
    """Whole heatmaps, blurred by two banded matrices; zeros lie outside."""
    weights, reach = _blur_weights(kernel, heatmaps.device), kernel // 2

    def band(length: int) -> Tensor:
        cells = torch.arange(length, device=heatmaps.device)
        offset = cells[None] - cells[:, None] + reach
        inside = (offset >= 0) & (offset < kernel)
        return weights[offset.clamp(0, kernel - 1)] * inside

    return band(heatmaps.shape[-2]) @ heatmaps @ band(heatmaps.shape[-1]).T


def _blur_weights(kernel: int, device: torch.device) -> Tensor:
    """``(kernel,)`` Gaussian whose deviation follows from its width as in OpenCV, which the
    reference implementations use."""
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    distance = torch.arange(kernel, device=device) - kernel // 2
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    return weights / weights.sum()
