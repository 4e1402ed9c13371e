"""Every constant of the default method for tables: what it does, and what it was chosen by.

"Choosing tables" are Thyroid, Arrhythmia, KDDCup99, KDDCup-rev, breast cancer, wine and digits with anomalies left out
of training, standardised; their labels were seen while these values were chosen.
"""

# -- rows ---------------------------------------------------------------------------------------------------------

#: With fewer rows than this a warning says that a density cannot be trusted; a convention.
FEW_ROWS = 20
#: With fewer rows than this none are held out: nothing is trained and p-values are those of training rows.
MIN_ROWS_TO_HOLD_OUT = 50
#: Rows held out at least, half to stop training by and half to calibrate on; a tenth of all rows beyond that.
MIN_HELD_OUT = 20
#: One row in this many is held out, for early stopping and calibration together.
ROWS_PER_HELD_OUT = 10
#: At most one row in this many calibrates a threshold that the user has asked for.
ROWS_PER_CALIBRATION = 4
#: Where fewer rows than this are held out, training rows calibrate, too, up to as many in all.
MAX_ROWS_TO_CALIBRATE = 2_000
#: A selection is made at this share of the fdr that is asked for: where training rows calibrate, small p-values come up
#: to a tenth more often than they should, since the autoencoder has seen these rows (6 columns, 1,000 rows: 1.07).
SELECTION_MARGIN = 0.9
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
#: Training steps at most; held-out loss stops earlier.
MAX_STEPS = 1000
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
#: Gaussian mixtures of these sizes are stacked beside the kernel density where rows suffice ...
MIXTURE_SIZES = (1, 2, 3, 5)
#: ... which is this many distinct rows per component.
ROWS_PER_COMPONENT = 10
#: A mixture's variances are at least this share of the squared kernel bandwidth: no spikes on discrete columns.
MIN_MIXTURE_VARIANCE = 0.01
#: Distinct latents at most that cross-validation weighs the stacked priors and places the gate by.
MAX_ROWS_TO_CROSS_VALIDATE = 2_000
#: Folds of the PCA that measures the residual of rows it has not seen.
RESIDUAL_FOLDS = 5
#: With fewer rows than this the coarse density stands alone.
MIN_ROWS_FOR_GATE = 20
#: Rows drawn from the fine density to normalise the gate: at most, and at least where rows are wide.
MAX_ROWS_DRAWN, MIN_ROWS_DRAWN = 2_000, 100

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
#: Points of the quadrature along the path of an explanation.
QUADRATURE_POINTS = 64
#: Rows in a batch that is scored; scores do not depend on it beyond rounding.
BATCH_ROWS = 4096
