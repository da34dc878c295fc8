"""Every tolerance of the tests, with its reason. What is not here is compared exactly."""

from __future__ import annotations

from typing import Final

#: KS against SciPy. Ours is one correctly rounded quotient (2^-54); SciPy subtracts two rounded ones (2^-54 each) and
#: rounds the difference (2^-54): 4 * 2^-54 = 2.22e-16.
KS: Final = 2.3e-16

#: Sums over a few dozen bins of terms with logarithms (psi, kl, js, hellinger, tv): numpy and SciPy add in another
#: order and know other logarithms to the last bit. Absolute below one, relative above.
DIVERGENCE: Final = 1e-12

#: Distances are square roots of divergences. Near 0 the root of a rounding error of 1e-16 is 1e-8.
DISTANCE_NEAR_ZERO: Final = 2e-8

#: Chi-square against SciPy, relative: a sum of squares over at most a few dozen bins.
CHI_SQUARE: Final = 1e-11

#: Wasserstein-1 against SciPy, which integrates in float64 over up to 10^5 sorted values: relative to the distance
#: plus the spread of the data.
WASSERSTEIN: Final = 1e-11

#: How wide certified Wasserstein bounds may be on an exact grid, relative to the spread of the data. In a gap of the
#: grid only F - G's mean is known where the window crosses the baseline, so the bounds are as wide as what one gap can
#: hide; on the flights log that is far below this share.
WASSERSTEIN_WIDTH: Final = 0.02

#: Offsets are whole multiples of 2^-32 of a gap, and bounds of what lies in it allow for one of them on either side;
#: relative to half a gap.
OFFSET_STEP: Final = 2.0**-30

#: Cramer-von Mises against SciPy, relative to the size of the terms it subtracts (n + m): SciPy's float64 ranks.
CVM: Final = 1e-12

#: Energy distance against SciPy and the definition, relative to the root of the spread: F - G is one division here,
#: and the difference of two there.
ENERGY: Final = 1e-11

#: Exact p-values of KS against SciPy, relative: up to 20,000 steps of a recursion without cancellation.
KS_PVALUE: Final = 1e-10

#: P-values of the one-sample Kolmogorov distribution against SciPy, relative. In the tail, twice the one-sided value
#: is 1.7e-6 off where it takes over; in the middle, the expansion is 5e-6 off at 1,001 rows.
KS_PVALUE_ASYMPTOTIC: Final = 6e-6

#: P-values of chi-square against SciPy, relative, down to 1e-80: a gamma function whose logarithm is rounded at 10^3.
PVALUE_TAIL: Final = 1e-10

#: Skewness and kurtosis against SciPy: ratios of sums of third and fourth powers.
SHAPE: Final = 1e-9

#: Performance against scikit-learn, absolute and relative: the same sums over rows there and over distinct values here.
PERFORMANCE: Final = 1e-10

#: Other packages' numbers, relative: the same formula over the same bins, added in another order.
PEER: Final = 1e-9

#: Mean over the spread, and standard deviation, against NumPy's pairwise float64 sums, relative.
MOMENTS: Final = 1e-12

#: Moments counted with other cuts of the same rows, relative to the size of the moment: other rounding, same sum.
MOMENTS_PARTITION: Final = 1e-11

#: A gap of a quantile grid may hold this share of the baseline (DESIGN 3.1), and one row of slack for rounding.
GAP_SHARE: Final = 1 / 2048
HEAVY_SHARE: Final = 1 / 4096

#: The oracle of the flights log, stored with 17 digits and checked to this by its own script.
ORACLE: Final = 1e-12

#: Sums of Gaussian kernels and of distances over pairs, relative, by the type of the rows. A squared distance of d
#: coordinates has d roundings of its type (2^-24, 2^-53), and exp turns them into as many times its argument, up to 15
#: in the tests: 15 * 257 * 2^-24 = 2.3e-4 at most. All terms are positive, so sums lose nothing more.
PAIR_SUMS: Final = {"float32": 3e-4, "float64": 1e-12}

#: Student's t against SciPy, relative: a continued fraction with a factor from log-gamma, which at 10^5 degrees of
#: freedom subtracts numbers of 10^6.
STUDENT_T: Final = 1e-8

#: A standard error from 256 replicates against the exact one, relative: it is itself good to 1 / sqrt(2 x 256) = 4.4%,
#: and this is two and a half times that; the draws are always the same ones.
BOOTSTRAP_ERROR: Final = 0.11

#: The same where days are known by cells of 128 knots (checks/cell_values.py, checks/transported.py): over a dozen logs
#: of either kind the cells take up to 8% and give up to 7% beside exact sums of days with the same draws.
CELL_BOOTSTRAP_ERROR: Final = 0.18

#: Sums of vectors per row, in units of the vectors' spread: products of matrices in float32 (2^-24 a term, a few units
#: of spread each) over at most a few thousand rows, then rounding to 2^-30.
EMBEDDING_SUMS: Final = 3e-6

#: The same sums per row when rows come in other batches: the products add in another order.
EMBEDDING_PARTITION: Final = 1e-5

#: Members of the ensemble against loops in float64: axes and kernels are float32, and differences of sums that are
#: nearly equal lose four of their seven digits.
EMBEDDING_MEMBERS: Final = 2e-3

#: Averages of kernels and distances over pairs of float64 vectors against other packages: squared distances by products
#: of matrices lose some 1e-14 of the squared lengths.
VECTORS_FLOAT64: Final = 1e-12

#: The same of float32 vectors: 2^-24 of squared lengths of some tens, in a kernel of slope below 1.
VECTORS_FLOAT32: Final = 1e-5

#: Measures of a window alone against those of the same window among others: the same counts, but sums over cells are
#: vectorised over all windows at once and may add in another order. Relative, absolute below one.
SUMMED_ALONE: Final = 1e-12
