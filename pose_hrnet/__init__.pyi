from .config.data import DataSet
from .config.files import load_config
from .config.recipe import Config
from .deploy.export import export_model
from .evaluation.evaluate import evaluate
from .evaluation.scorer import score_file
from .evaluation.settings import compare_settings
from .inference.estimator import PoseEstimator
from .inference.load import load_model
from .inference.model import PoseModel
from .keypoints.codec import HeatmapCodec
from .keypoints.records import People, Poses
from .keypoints.skeleton import COCO17, MPII16, Skeleton
from .models.hrnet import HRNet
from .system.extras import __version__
from .training.train import train
from .visualize.poses import draw_poses

__all__ = [
    "COCO17",
    "MPII16",
    "Config",
    "DataSet",
    "HRNet",
    "HeatmapCodec",
    "People",
    "PoseEstimator",
    "PoseModel",
    "Poses",
    "Skeleton",
    "__version__",
    "compare_settings",
    "draw_poses",
    "evaluate",
    "export_model",
    "load_config",
    "load_model",
    "score_file",
    "train",
]
