"""Top-down human pose estimation with HRNet: crop, regress heatmaps, decode, score by OKS.

Twelve rooms, each of which imports only rooms before it: `system`, `keypoints`, `config` |
`visualize`, `data` | `models`, `inference`, `evaluation`, `training`, `deploy`, `benchmark`,
`cli`; two with a bar between them do not import each other (setup.cfg, ``[importlinter]``).

The public names, and the module that each is from, stand in ``__init__.pyi``. A name is imported
when it is first used, so that ``import pose_hrnet`` is quick. All else may move until 1.0.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
