"""RaDOGAGA: autoencoders whose latent space is isometric to the data."""

from radogaga.alignment import align, calibrate_gain
from radogaga.baselines import DAGMM, BetaVAE
from radogaga.checkpoints import History
from radogaga.coding import compress, decompress, quantised_rate
from radogaga.convolutional import GDN, ConvolutionalDecoder, ConvolutionalEncoder, LinearPlus
from radogaga.density import Density
from radogaga.distortion import Autodiff, CrossEntropy, Distortion, SquaredError
from radogaga.errors import InputError
from radogaga.estimator import RaDOGAGA
from radogaga.guard import Guard
from radogaga.isometry import Isometry, measure_isometry
from radogaga.networks import Autoencoder, Dense, Residual, start_as_pca
from radogaga.noise import Gaussian, Noise, Uniform
from radogaga.objective import Identity, Log, RateDistortion, Terms
from radogaga.principal import PrincipalDecoder, PrincipalEncoder, start_as_metric_pca
from radogaga.priors import Blend, EstimatedMixture, Factorized, Kernel, Mixture, Normal, Prior
from radogaga.residuals import NormalResidual, PrincipalResidual, StudentResidual
from radogaga.scaling import Scaling
from radogaga.ssim import SSIM, QuadraticSSIM
from radogaga.storage import load, save
from radogaga.tangents import gram
from radogaga.training import fit, fit_with_mixture
from radogaga.version import __version__

__all__ = [
    "DAGMM",
    "GDN",
    "SSIM",
    "Autodiff",
    "Autoencoder",
    "BetaVAE",
    "Blend",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "CrossEntropy",
    "Dense",
    "Density",
    "Distortion",
    "EstimatedMixture",
    "Factorized",
    "Gaussian",
    "Guard",
    "History",
    "Identity",
    "InputError",
    "Isometry",
    "Kernel",
    "LinearPlus",
    "Log",
    "Mixture",
    "Noise",
    "Normal",
    "NormalResidual",
    "PrincipalDecoder",
    "PrincipalEncoder",
    "PrincipalResidual",
    "Prior",
    "QuadraticSSIM",
    "RaDOGAGA",
    "RateDistortion",
    "Residual",
    "Scaling",
    "SquaredError",
    "StudentResidual",
    "Terms",
    "Uniform",
    "__version__",
    "align",
    "calibrate_gain",
    "compress",
    "decompress",
    "fit",
    "fit_with_mixture",
    "gram",
    "load",
    "measure_isometry",
    "quantised_rate",
    "save",
    "start_as_metric_pca",
    "start_as_pca",
]
