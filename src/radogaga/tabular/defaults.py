"""Every constant of the default method for tables: what it does, and what it was chosen by.

"Choosing tables" are Thyroid, Arrhythmia, KDDCup99, KDDCup-rev, breast cancer, wine and digits with anomalies left out
of training, standardised; their labels were seen while these values were chosen.
"""

# -- rows ---------------------------------------------------------------------------------------------------------

#: With fewer rows than this a warning says that a density cannot be trusted; a convention.
FEW_ROWS = 20
#: With fewer rows than this none are held out: nothing is trained and p-values are those of training rows.
MIN_ROWS_TO_HOLD_OUT = 50
#: Rows held out at least to stop training by, and one row in this many beyond that.
MIN_HELD_OUT, ROWS_PER_HELD_OUT = 10, 20
#: With at least this many rows as many again are held out to calibrate on; fewer rows all take part in the densities,
#: and calibrate by what they score without their own part.
MIN_ROWS_TO_HOLD_OUT_CALIBRATION = 20_000
#: At most one row in this many calibrates a threshold that the user has asked for.
ROWS_PER_CALIBRATION = 4
#: A selection is made at this share of the fdr that is asked for: where training rows calibrate, small p-values come up
#: a little more often than they should: bandwidths and the autoencoder have seen these rows (1,000 rows of 2
#: columns: a share of .23 where .2 was asked for).
SELECTION_MARGIN = 0.8
#: Rows drawn from a table of many files: from 50,000 on, the log density of new rows no longer grew (20 columns).
MAX_ROWS_SAMPLED = 100_000
#: Whole weights are repeated exactly up to this many rows in all; beyond, rows are drawn.
MAX_REPEATED_ROWS = 1_000_000
#: Default share of normal rows below the threshold: scikit-learn's detectors call .1 of the training rows anomalies,
#: which is too many for a table that is watched.
ALARM_RATE = 0.01

# -- columns ------------------------------------------------------------------------------------------------------

#: At most this many categories of a column are known by name, which bounds the model's size.
MAX_KNOWN_CATEGORIES = 10_000
#: A text column with at least this many categories that look like numbers is pointed out.
MIN_CATEGORIES_TO_WARN = 10
#: A column of whole numbers that never falls over at least this many rows ...
MIN_ROWS_TO_DETECT_GROWTH = 30
#: ... and grows from one row to the next in at least this share of them is a counter or a time stamp, and left out.
MIN_GROWING_SHARE = 0.2
#: Codes for a missing value lie at least this many ranges of all other values away from them.
MISSING_CODE_DISTANCE = 5.0
#: Codes for a missing value repeat at least this often; a far value that comes up once is an outlier.
MIN_MISSING_CODE_COUNT = 2
#: Codes for a missing value are at most this share of a column on either side.
MAX_MISSING_CODE_SHARE = 0.5
#: At most this many codes for a missing value on either side of a column's other values.
MAX_MISSING_CODES = 3
#: At least this many distinct values have to remain beside codes for a missing value.
MIN_VALUES_BESIDE_CODES = 10

# -- scale --------------------------------------------------------------------------------------------------------

#: Standardised values are clipped to this before training, in single precision; scores have no such bound.
TRAINING_CLIP = 1e4
#: Standardised values are clipped to this before scoring: their squares and products stay finite.
SCORING_CLIP = 1e100
#: The standard deviation is taken between these quantiles of a column, so that single outliers do not set the scale.
SCALE_QUANTILES = (0.01, 0.99)
#: Bounds for outliers are medians of ranges over parts of at least, and of at most, this many rows.
MIN_ROWS_PER_RANGE, MAX_ROWS_PER_RANGE = 50, 5_000
#: With at least this many rows the smallest and the largest value are left out of a range.
MIN_ROWS_TO_TRIM = 10

# -- network and training -----------------------------------------------------------------------------------------

#: Latents carry this share of the variance of the scaled rows; .95 and .999 ranked worse on the choosing tables.
VARIANCE_SHARE = 0.99
#: At most this many latents: a kernel density in more directions finds no neighbours.
MAX_LATENTS = 40
#: Widths of the hidden layers; one layer of 128 gained most over PCA per second on the choosing tables.
HIDDEN = (128,)
#: Learning rate at the top of the one-cycle schedule; a tenth of it is tried if training diverges.
LEARNING_RATE = 5e-3
#: Training steps at most; held-out loss stops earlier. 150 gained half as much on the choosing hundred, 1,000 no more.
MAX_STEPS = 300
#: How often the loss of held-out rows is looked at in a full training; each look costs about two steps.
EVALUATIONS = 15
#: Weight of the reconstruction term as a multiple of the isometry term's; the paper's analysis wants it above 1.
RECONSTRUCTION_WEIGHT = 3.0
#: The resolution is half the kernel bandwidth of the latents, and at least this in units of a column's spread.
MIN_RESOLUTION = 0.1
#: Gaussian components of the prior while training, at most, with this many distinct rows per latent and component.
MAX_TRAINING_COMPONENTS, ROWS_PER_TRAINING_COMPONENT = 5, 10
#: Rows at most that expectation maximisation, early stopping and the residual's distribution are fitted to.
MAX_ROWS_FOR_EM = MAX_ROWS_TO_STOP_BY = MAX_ROWS_FOR_RESIDUAL = 20_000

# -- density ------------------------------------------------------------------------------------------------------

#: Centres of the kernel density at most; more cost time in proportion and gained nothing on the choosing tables.
MAX_CENTRES = 800
#: A centre's bandwidth follows the distance to this many of its neighbours; 3 ranked as well.
NEIGHBOURS = 10
#: One of these numbers of Gaussian components is chosen by the Bayesian information criterion.
MIXTURE_SIZES = (1, 2, 4, 8)
#: Added to the variances of a mixture, in units of a scaled column's variance: no spikes on columns with few values.
MIN_MIXTURE_VARIANCE = 1e-3
#: A mixture of all columns is fitted to at most this many of them: its covariances grow with their square.
MAX_COLUMNS_OF_MIXTURE = 100
#: The variance of the residual is at least this, in the same units.
MIN_RESIDUAL_VARIANCE = 1e-4
#: Different values of a column at most that its ranks are known at.
MAX_RANK_KNOTS = 512
#: Training rows at most whose own part is taken out of the densities, to scale and weigh these, and to calibrate where
#: fewer rows are held out.
MAX_ROWS_TO_LEAVE_OUT = 2_000
#: Steps of expectation maximisation for the weights of the stacked priors.
WEIGHT_ITERATIONS = 200
#: Folds of the PCA that measures the residual of rows it has not seen.
RESIDUAL_FOLDS = 5
#: A number that no training row held is news where it costs this many nats or more ...
MIN_COST_OF_NEW_VALUE = 0.1
#: ... in a column with at most this many different values, which bounds the model's size.
MAX_REPEATED_VALUES = 10_000

# -- categories ---------------------------------------------------------------------------------------------------

#: A numeric column of whole numbers or truth values with at most this many values is a category.
MAX_VALUES_OF_CATEGORY = 2
#: Rows at most that the tree of categories is chosen by, and that each centre's own counts are of.
MAX_ROWS_FOR_TREE, MAX_ROWS_FOR_CENTRE_TABLES = 10_000, 50_000
#: Counts at most that a column keeps for all centres together; wider columns have none of their own at centres.
MAX_CENTRE_COUNTS = 2_000_000
#: Nats a row that centres' counts have to gain on held-out values to be kept: fewer are noise.
MIN_LOCAL_GAIN = 0.002

# -- drift --------------------------------------------------------------------------------------------------------

#: Of files of rows without drift, at most this share is said to have drifted.
DRIFT_LEVEL = 0.01
#: Distances of distribution functions, and differences of shares, below this are of no consequence.
MIN_DRIFT = 0.05
#: Quantiles kept of each number, and categories of each column that are compared one by one.
QUANTILES_TO_COMPARE, MAX_CATEGORIES_TO_COMPARE = 101, 100
#: Categories with at least this count in half of the training rows are compared one by one: of rarer ones those that
#: are frequent by chance would be chosen, and be rarer later.
MIN_COUNT_TO_COMPARE = 25
#: Training rows at most that later rows are compared with.
MAX_ROWS_TO_COMPARE = 50_000

# -- what is reported ---------------------------------------------------------------------------------------------

#: Rows that the spectrum is measured on, and rows that the decoder's Jacobian is taken at.
MAX_ROWS_MEASURED, MAX_JACOBIANS = 20_000, 500
#: Training rows kept as references for explanations: the better-scoring half of this many.
MAX_REFERENCE_ROWS = 1_000
#: Columns of a row at most that an explanation scores, twice each: those furthest from the reference row.
MAX_COLUMNS_EXPLAINED = 100
#: Rows in a batch that is scored; scores do not depend on it beyond rounding.
BATCH_ROWS = 4096
