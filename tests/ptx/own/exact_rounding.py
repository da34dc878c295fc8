"""Exact rounding with rational numbers: the independent oracle for floating-point instructions."""

import math
from fractions import Fraction

import numpy as np

# (precision in bits with the hidden one, smallest normal exponent, largest exponent)
FORMATS = {
    "f16": (11, -14, 15),
    "bf16": (8, -126, 127),
    "tf32": (11, -126, 127),
    "f32": (24, -126, 127),
    "f64": (53, -1022, 1023),
}


def round_to(value, fmt, mode="rn", negative_zero=False):
    """Rounds a Fraction to a format; returns a Python float (exact for all formats here)."""
    precision, emin, emax = FORMATS[fmt]
    if value == 0:
        return -0.0 if negative_zero else 0.0
    sign, magnitude = (-1 if value < 0 else 1), abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    exponent = max(exponent, emin)
    unit = Fraction(2) ** (exponent - precision + 1)
    quotient, rest = divmod(magnitude, unit)
    half = unit / 2
    up = {
        "rn": rest > half or (rest == half and quotient % 2),
        "rz": False,
        "rna": rest >= half,
        "rm": sign < 0 and rest > 0,
        "rp": sign > 0 and rest > 0,
    }[mode]
    result = (quotient + bool(up)) * unit
    largest = (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** emax
    if result > largest:
        to_max = mode == "rz" or (mode == "rm" and sign > 0) or (mode == "rp" and sign < 0)
        return sign * (float(largest) if to_max else math.inf)
    return sign * float(result) if result else math.copysign(0.0, sign)


def sqrt_to(value, fmt, mode):
    """Square root of a non-negative Fraction, correctly rounded: enough bits, then a sticky one."""
    if value == 0:
        return 0.0
    shift = 700
    scaled = (value.numerator << (2 * shift)) // value.denominator
    root = math.isqrt(scaled)
    exact = root * root == scaled and (value.numerator << (2 * shift)) % value.denominator == 0
    return round_to(Fraction(2 * root + (0 if exact else 1), 1 << (shift + 1)), fmt, mode)


def f32_bits_equal(a, b):
    """Equal as bits, except that any NaN equals any NaN."""
    a, b = np.asarray(a), np.asarray(b)
    kind = {2: np.uint16, 4: np.uint32, 8: np.uint64}[a.dtype.itemsize]
    return (a.view(kind) == b.view(kind)) | (np.isnan(a) & np.isnan(b))
