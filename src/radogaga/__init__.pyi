# What `import radogaga` offers: each name is imported when it is first used.
from ._utils.storage import load, save
from .errors import InputError
from .experiments.baselines.beta_vae import BetaVAE, DecomposedBetaVAE
from .experiments.baselines.dagmm import DAGMM
from .images.pictures import Pictures
from .images.prepare import prepare_images
from .images.reading import read_images
from .method.alignment import align, set_latent_scale
from .method.autoencoder import Autoencoder
from .method.compression import compress, decompress, quantized_rate
from .method.density.density import Density
from .method.density.product import ProductOfExperts, ScaledPrior
from .method.density.residuals import GaussianResidual, MultiscaleResidual, StudentTResidual
from .method.density.two_scale import TwoScaleDensity
from .method.distortions.distortion import Autodiff, CrossEntropy, Distortion, SquaredError
from .method.distortions.ssim import SSIM, QuadraticSSIM
from .method.initialization import initialize_metric_pca, initialize_pca
from .method.isometry import Isometry, measure_isometry
from .method.jacobians import gram
from .method.networks.convolutional import ConvolutionalDecoder, ConvolutionalEncoder, LinearSkip
from .method.networks.gdn import GDN
from .method.networks.mlp import MLP, ResidualMLP
from .method.networks.pca_networks import PCADecoder, PCAEncoder
from .method.noise import GaussianNoise, Noise, UniformNoise
from .method.objective import Identity, Log, RateDistortion, Terms
from .method.prior_features import LatentFeatures, ResidualFeatures
from .method.priors.estimated_mixture import EstimatedMixture
from .method.priors.factorized import Factorized
from .method.priors.kernel_density import KernelDensity
from .method.priors.mixture import Mixture
from .method.priors.normal import Normal
from .method.priors.prior import Prior
from .method.priors.stacked import StackedPrior
from .method.rank_scaling import RankScaling
from .method.scaling import AsinhScaling, Scaling
from .method.training.history import History
from .method.training.loop import fit
from .method.training.mixture_warmup import fit_with_mixture
from .tabular.calibration import Calibration
from .tabular.categorical import CategoricalDensity
from .tabular.category_table import CategoryTable
from .tabular.columns.categories import CategoryEncoder
from .tabular.columns.encoder import TableEncoder
from .tabular.columns.one_hot import OneHotTableEncoder
from .tabular.columns.repeated_values import RepeatedValues
from .tabular.columns.types import ColumnType
from .tabular.estimator import RaDOGAGA
from .tabular.explanation import Explanation
from .tabular.model import TabularModel
from .tabular.standardize import Standardizer
from .tabular.training_columns import TrainingColumns
from .version import __version__

__all__ = [
    "DAGMM",
    "GDN",
    "MLP",
    "SSIM",
    "AsinhScaling",
    "Autodiff",
    "Autoencoder",
    "BetaVAE",
    "Calibration",
    "CategoricalDensity",
    "CategoryEncoder",
    "CategoryTable",
    "ColumnType",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "CrossEntropy",
    "DecomposedBetaVAE",
    "Density",
    "Distortion",
    "EstimatedMixture",
    "Explanation",
    "Factorized",
    "GaussianNoise",
    "GaussianResidual",
    "History",
    "Identity",
    "InputError",
    "Isometry",
    "KernelDensity",
    "LatentFeatures",
    "LinearSkip",
    "Log",
    "Mixture",
    "MultiscaleResidual",
    "Noise",
    "Normal",
    "OneHotTableEncoder",
    "PCADecoder",
    "PCAEncoder",
    "Pictures",
    "Prior",
    "ProductOfExperts",
    "QuadraticSSIM",
    "RaDOGAGA",
    "RankScaling",
    "RateDistortion",
    "RepeatedValues",
    "ResidualFeatures",
    "ResidualMLP",
    "ScaledPrior",
    "Scaling",
    "SquaredError",
    "StackedPrior",
    "Standardizer",
    "StudentTResidual",
    "TableEncoder",
    "TabularModel",
    "Terms",
    "TrainingColumns",
    "TwoScaleDensity",
    "UniformNoise",
    "__version__",
    "align",
    "compress",
    "decompress",
    "fit",
    "fit_with_mixture",
    "gram",
    "initialize_metric_pca",
    "initialize_pca",
    "load",
    "measure_isometry",
    "prepare_images",
    "quantized_rate",
    "read_images",
    "save",
    "set_latent_scale",
]
