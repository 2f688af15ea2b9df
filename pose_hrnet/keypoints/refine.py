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
    Peaks within two cells of the border are left alone, as there. Values are cut off at 1e-10
    before that rescaling, there after it: only heatmaps that are as low as this decode otherwise.

    The blur takes what lies outside for zeros, as there, which bends the step within three cells
    of the border by up to 3 input pixels inwards; see `border_true_steps`.

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
    neighbours being copies of them. There is no step where all that the blur leaves is negative:
    everything is cut off then. The blur is biased along the border as `dark_steps` has it.
    Arguments and result are as there.
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


def border_true_steps(steps: Tensor, heatmaps: Tensor, cells: Tensor, blur_kernel: int) -> Tensor:
    """Steps of dark or udp, along the border replaced by ones that its zeros do not bend.

    No reference implementation has this. The 3x3 cells around the peak, or next to it where it
    lies on the border, are blurred along each axis only as far as the heatmap goes on both sides,
    by a kernel that stays symmetric: the logarithm of a Gaussian is a parabola up to the border,
    and its Newton step finds a centre beyond the border as well. No step is taken where that
    parabola has no maximum, or has it far out of the blur's reach, as noise does.

    Args:
        steps: ``(B, K, 2)`` of `dark_steps` or `udp_steps`.
        heatmaps: As of `dark_steps`.
        cells: As of `dark_steps`.
        blur_kernel: As of `dark_steps`.

    Returns:
        ``(B, K, 2)`` the steps, others within ``blur_kernel // 2 + 2`` cells of the border.
    """
    height, width = heatmaps.shape[-2:]
    peak_x, peak_y = cells.long().unbind(-1)
    x, y = peak_x.clamp(1, width - 2), peak_y.clamp(1, height - 2)
    reach = blur_kernel // 2
    room_x, room_y = torch.minimum(x, width - 1 - x), torch.minimum(y, height - 1 - y)
    # Bands of each width up to the whole blur, wide enough for it: (reach + 1, 3, 2 reach + 3).
    bands = torch.stack(
        [
            functional.pad(_band(3, 2 * r + 1, heatmaps.device), [reach - r] * 2)
            for r in range(reach + 1)
        ]
    )
    rows, columns = (bands[(room - 1).clamp(0, reach)] for room in (room_y, room_x))
    patches = _patches(heatmaps, x, y, reach + 1)
    log = (rows @ patches @ columns.transpose(-1, -2)).clamp(min=1e-10).log()
    here, right, left = log[..., 1, 1], log[..., 1, 2], log[..., 1, 0]
    below, above = log[..., 2, 1], log[..., 0, 1]
    xx, yy = right - 2 * here + left, below - 2 * here + above
    xy = (log[..., 2, 2] - log[..., 0, 2] - log[..., 2, 0] + log[..., 0, 0]) / 4
    found, solvable = _newton((right - left) / 2, (below - above) / 2, xx, yy, xy)
    near_by = (found.abs() <= reach + 3).all(dim=-1)
    found = torch.where(
        (solvable & (xx < 0) & (xx * yy > xy * xy) & near_by)[..., None],
        found + torch.stack([x - peak_x, y - peak_y], dim=-1),
        torch.zeros_like(found),
    )
    near = torch.minimum(room_x, room_y) < reach + 2
    return torch.where(near[..., None], found, steps)


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
    matrix = _band(size, kernel, heatmaps.device)
    return matrix @ _patches(heatmaps, x, y, kernel // 2 + size // 2) @ matrix.T


def _patches(heatmaps: Tensor, x: Tensor, y: Tensor, reach: int) -> Tensor:
    """``(B, K, 2 reach + 1, 2 reach + 1)`` float32 cells around each peak; zeros lie outside."""
    padded = functional.pad(heatmaps, [reach] * 4).float()
    side = torch.arange(2 * reach + 1, device=heatmaps.device)
    patch_index = (side[:, None] * padded.shape[-1] + side).flatten()
    corner = y * padded.shape[-1] + x
    patches = padded.flatten(2).gather(2, corner[..., None] + patch_index)
    return patches.reshape(*x.shape, len(side), len(side))


def _band(size: int, kernel: int, device: torch.device) -> Tensor:
    """``(size, size + kernel - 1)`` matrix that blurs along an axis to `size` cells."""
    weights = _blur_weights(kernel, device)
    matrix = torch.zeros(size, size + kernel - 1, device=device)
    for row in range(size):
        matrix[row, row : row + kernel] = weights
    return matrix


def _blurred(heatmaps: Tensor, kernel: int) -> Tensor:
    """Whole heatmaps, blurred by two banded matrices; zeros lie outside."""
    weights, reach = _blur_weights(kernel, heatmaps.device), kernel // 2

    def band(length: int) -> Tensor:
        cells = torch.arange(length, device=heatmaps.device)
        offset = cells[None] - cells[:, None] + reach
        inside = (offset >= 0) & (offset < kernel)
        return weights[offset.clamp(0, kernel - 1)] * inside

    return band(heatmaps.shape[-2]) @ heatmaps @ band(heatmaps.shape[-1]).T


_FIXED_WEIGHTS = {
    3: (64, 128),
    5: (16, 64, 96),
    7: (8, 28, 56, 72),
    9: (4, 13, 30, 51, 60),
}
"""What ``cv2.GaussianBlur(maps, (k, k), 0)`` has for small widths in place of a Gaussian, up to
the middle, in 256ths. 9 is OpenCV 5's; OpenCV 4 has the Gaussian there."""


def _blur_weights(kernel: int, device: torch.device) -> Tensor:
    """``(kernel,)`` weights of the blur, those of OpenCV, which the reference implementations use:
    a Gaussian whose deviation follows from its width, but for the fixed small ones."""
    if kernel in _FIXED_WEIGHTS:
        half = _FIXED_WEIGHTS[kernel]
        return torch.tensor([*half, *half[-2::-1]], device=device) / 256
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    distance = torch.arange(kernel, device=device) - kernel // 2
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    return weights / weights.sum()
