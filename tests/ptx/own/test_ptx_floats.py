"""Floating-point opcodes and conversions against exact rational arithmetic, in all rounding modes."""

import itertools
import math
from fractions import Fraction

import numpy as np
from checking import check
from exact_rounding import f32_bits_equal, round_to, sqrt_to
from snippet import run

rng = np.random.default_rng(11)
MODES = ("rn", "rz", "rm", "rp")
TYPES = {"f32": np.float32, "f64": np.float64}


def floats(dtype, count=120):
    """Finite values with full mantissas over many exponents, subnormals and edge values included."""
    info = np.finfo(dtype)
    x = (rng.normal(size=count) * 10.0 ** rng.integers(-8, 9, count)).astype(dtype)
    edge = np.array(
        [
            0.0,
            -0.0,
            1,
            -1,
            1.5,
            info.tiny,
            -info.tiny,
            info.smallest_subnormal,
            info.tiny / 3,
            info.max,
            -info.max,
            1 + info.eps,
            1 / 3,
        ],
        dtype,
    )
    return np.concatenate([edge, x])


def same(name, got, want):
    bad = np.flatnonzero(~f32_bits_equal(got, want))
    check(name, not len(bad), f"{len(bad)} wrong, first at {bad[:1]}: got {got[bad[:1]]} want {want[bad[:1]]}")


def rounded(values, fmt, mode, zero_signs):
    return [round_to(v, fmt, mode, bool(s)) for v, s in zip(values, zero_signs, strict=True)]


def test_arithmetic_rounds_as_rational_numbers_do():
    for t, dtype in TYPES.items():
        a = floats(dtype)
        b, c = rng.permutation(a), rng.permutation(a)
        A, B, Cc = ([Fraction(float(v)) for v in x] for x in (a, b, c))
        for mode in MODES:
            # A zero sum of opposite numbers is -0 only when rounding down; zeros of one sign keep it.
            zero = [
                (np.signbit(x) and np.signbit(y))
                or (mode == "rm" and not (x == 0 and y == 0 and not np.signbit(x) and not np.signbit(y)))
                for x, y in zip(a, b, strict=True)
            ]
            same(
                f"add.{mode}.{t}",
                run(f"add.{mode}.{t} %o, %a, %b;", [a, b], dtype),
                np.array(rounded((x + y for x, y in zip(A, B, strict=True)), t, mode, zero), dtype),
            )
            zero = [
                (np.signbit(x) and not np.signbit(y))
                or (mode == "rm" and not (x == 0 and y == 0 and not np.signbit(x) and np.signbit(y)))
                for x, y in zip(a, b, strict=True)
            ]
            same(
                f"sub.{mode}.{t}",
                run(f"sub.{mode}.{t} %o, %a, %b;", [a, b], dtype),
                np.array(rounded((x - y for x, y in zip(A, B, strict=True)), t, mode, zero), dtype),
            )
            sign = np.signbit(a) != np.signbit(b)
            same(
                f"mul.{mode}.{t}",
                run(f"mul.{mode}.{t} %o, %a, %b;", [a, b], dtype),
                np.array(rounded((x * y for x, y in zip(A, B, strict=True)), t, mode, sign), dtype),
            )
            keep = [i for i in range(len(a)) if A[i] * B[i] + Cc[i] != 0]
            same(
                f"fma.{mode}.{t}",
                run(f"fma.{mode}.{t} %o, %a, %b, %c;", [a, b, c], dtype)[keep],
                np.array([round_to(A[i] * B[i] + Cc[i], t, mode) for i in keep], dtype),
            )
            keep = [i for i in range(len(a)) if B[i] != 0]
            same(
                f"div.{mode}.{t}",
                run(f"div.{mode}.{t} %o, %a, %b;", [a, b], dtype)[keep],
                np.array([round_to(A[i] / B[i], t, mode, sign[i]) for i in keep], dtype),
            )
            keep = [i for i in range(len(a)) if A[i] != 0]
            same(
                f"rcp.{mode}.{t}",
                run(f"rcp.{mode}.{t} %o, %a;", [a], dtype)[keep],
                np.array([round_to(1 / A[i], t, mode) for i in keep], dtype),
            )
            p = np.abs(a)
            same(
                f"sqrt.{mode}.{t}",
                run(f"sqrt.{mode}.{t} %o, %a;", [p], dtype),
                np.array([sqrt_to(abs(x), t, mode) for x in A], dtype),
            )
        same(f"neg.{t}", run(f"neg.{t} %o, %a;", [a], dtype), -a)
        same(f"abs.{t}", run(f"abs.{t} %o, %a;", [a], dtype), np.abs(a))
        same(f"copysign.{t}", run(f"copysign.{t} %o, %a, %b;", [a, b], dtype), np.copysign(b, a))
        e = np.array([0.0, -0.0, 1, -2, np.inf, -np.inf, np.nan], dtype)
        x, y = (z.ravel() for z in np.meshgrid(e, e))
        low = np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.where((x < y) | ((x == y) & np.signbit(x)), x, y)))
        high = np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.where((x > y) | ((x == y) & ~np.signbit(x)), x, y)))
        same(f"min.{t}", run(f"min.{t} %o, %a, %b;", [x, y], dtype), low.astype(dtype))
        same(f"max.{t}", run(f"max.{t} %o, %a, %b;", [x, y], dtype), high.astype(dtype))
        if t == "f32":
            n = np.isnan(x) | np.isnan(y)
            same("min.NaN.f32", run("min.NaN.f32 %o, %a, %b;", [x, y], dtype), np.where(n, np.nan, low).astype(dtype))
            same("max.NaN.f32", run("max.NaN.f32 %o, %a, %b;", [x, y], dtype), np.where(n, np.nan, high).astype(dtype))


def test_flushing_and_saturation_follow_the_rounded_result():
    a = floats(np.float32)
    b = rng.permutation(a)

    def flush(v):
        return np.where(np.abs(v) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), v), v)

    with np.errstate(all="ignore"):
        for op, f in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
            want = f(flush(a), flush(b))
            same(f"{op}.ftz.f32", run(f"{op}.ftz.f32 %o, %a, %b;", [a, b], np.float32), flush(want))
            want = f(a, b)
            clamped = np.where(want > 0, np.minimum(want, np.float32(1)), np.float32(0))
            same(f"{op}.sat.f32", run(f"{op}.sat.f32 %o, %a, %b;", [a, b], np.float32), clamped)
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    check(
        "NaN pattern",
        (run("add.f32 %o, %a, %b;", [x, np.float32([1, -np.inf, np.inf])], np.uint32) == 0x7FFFFFFF).all(),
    )
    same(
        "setp.ftz",
        run("setp.gt.ftz.f32 %p, %a, 0f00000000; selp.f32 %o, 0f3F800000, 0f00000000, %p;", [a], np.float32),
        (flush(a) > 0).astype(np.float32),
    )


def test_approximations_are_close_and_noise_moves_them():
    a = np.concatenate([rng.normal(size=100), rng.normal(size=28) * 30]).astype(np.float32)
    p = np.abs(a) + np.float32(1e-3)
    wide = a.astype(np.float64)
    for op, x, f in (
        ("ex2.approx.f32", a, np.exp2),
        ("ex2.approx.ftz.f32", a, np.exp2),
        ("lg2.approx.f32", p, np.log2),
        ("sin.approx.f32", a, np.sin),
        ("cos.approx.f32", a, np.cos),
        ("tanh.approx.f32", a, np.tanh),
        ("rcp.approx.ftz.f32", p, lambda v: 1 / v),
        ("rsqrt.approx.f32", p, lambda v: 1 / np.sqrt(v)),
        ("sqrt.approx.f32", p, np.sqrt),
    ):
        got, want = run(f"{op} %o, %a;", [x], np.float32), f(x.astype(np.float64))
        check(op, np.allclose(got, want, rtol=1e-6, atol=1e-30))
        noisy = run(f"{op} %o, %a;", [x], np.float32, noise=2)
        check(op + " noise", np.allclose(noisy, want, rtol=1e-6) and (noisy != got).any())
    for op in ("div.approx.f32", "div.full.f32"):
        check(op, np.allclose(run(f"{op} %o, %a, %b;", [a, p], np.float32), wide / p, rtol=1e-6))
    d = np.abs(rng.normal(size=64))
    for op, f in (("rcp.approx.ftz.f64", 1 / d), ("rsqrt.approx.ftz.f64", 1 / np.sqrt(d))):
        got = run(f"{op} %o, %a;", [d], np.float64)
        check(op, np.allclose(got, f, rtol=2e-6) and not (got.view(np.uint64) & 0xFFFFFFFF).any())


INT = {
    "u8": np.uint8,
    "s8": np.int8,
    "u16": np.uint16,
    "s16": np.int16,
    "u32": np.uint32,
    "s32": np.int32,
    "u64": np.uint64,
    "s64": np.int64,
}


def test_conversions_round_and_saturate_as_rational_numbers_do():
    for s, d in itertools.product(INT, INT):
        info = np.iinfo(INT[s])
        a = np.concatenate(
            [np.array([0, 1, info.max, info.min], INT[s]), rng.integers(info.min, info.max, 60, INT[s], endpoint=True)]
        )
        if np.dtype(INT[s]).itemsize == 1 or np.dtype(INT[d]).itemsize == 1:
            out = np.uint16 if np.dtype(INT[d]).itemsize == 1 else INT[d]
        else:
            out = INT[d]
        got = run(f"cvt.{d}.{s} %o, %a;", [a], out).astype(INT[d])
        check(f"cvt.{d}.{s}", (got == a.astype(INT[d])).all())
        lo, hi = np.iinfo(INT[d]).min, np.iinfo(INT[d]).max
        got = run(f"cvt.sat.{d}.{s} %o, %a;", [a], out).astype(INT[d])
        check(f"cvt.sat.{d}.{s}", [int(v) for v in got] == [max(lo, min(hi, int(v))) for v in a])
    rounders = {
        "rni": lambda v: Fraction(round(v)),
        "rzi": lambda v: Fraction(math.trunc(v)),
        "rmi": lambda v: Fraction(math.floor(v)),
        "rpi": lambda v: Fraction(math.ceil(v)),
    }
    for t, dtype in TYPES.items():
        a = np.concatenate(
            [
                floats(dtype),
                np.arange(-8, 8, dtype=dtype) / 2,
                np.array(
                    [2**31, -(2**31), 2**63, -(2**63), 1 - 2**31, 1 - 2**15, -127, -129, 255.5, -128.5, 3e9], dtype
                ),
            ]
        )
        for mode, f in rounders.items():
            for d in INT:
                info = np.iinfo(INT[d])
                out = np.uint16 if d[1:] == "8" else INT[d]
                got = run(f"cvt.{mode}.{d}.{t} %o, %a;", [a], out).astype(INT[d])
                want = [max(info.min, min(info.max, int(f(Fraction(float(v)))))) for v in a]
                check(f"cvt.{mode}.{d}.{t}", [int(v) for v in got] == want)
            want = np.array([math.copysign(float(f(Fraction(float(v)))), v) for v in a], dtype)
            same(f"cvt.{mode}.{t}.{t}", run(f"cvt.{mode}.{t}.{t} %o, %a;", [a], dtype), want)
        nan = np.full(4, np.nan, dtype)
        check(
            f"cvt NaN {t}",
            (run(f"cvt.rzi.s32.{t} %o, %a;", [nan], np.uint32) == (0 if t == "f32" else 2**31)).all()
            and (run(f"cvt.rzi.s64.{t} %o, %a;", [nan], np.uint64) == 2**63).all(),
        )
        for mode in MODES:
            for s in ("u32", "s32", "u64", "s64"):
                info = np.iinfo(INT[s])
                x = np.concatenate(
                    [np.array([0, 1, info.max, info.min], INT[s]), rng.integers(info.min, info.max, 60, INT[s])]
                )
                same(
                    f"cvt.{mode}.{t}.{s}",
                    run(f"cvt.{mode}.{t}.{s} %o, %a;", [x], dtype),
                    np.array([round_to(Fraction(int(v)), t, mode) for v in x], dtype),
                )
    a64 = np.concatenate([floats(np.float64), floats(np.float32).astype(np.float64) * (1 + 2.0**-30)])
    for mode in MODES:
        want = np.array([round_to(Fraction(v), "f32", mode, math.copysign(1, v) < 0) for v in a64.tolist()], np.float32)
        same(f"cvt.{mode}.f32.f64", run(f"cvt.{mode}.f32.f64 %o, %a;", [a64], np.float32), want)
    x = floats(np.float32)
    same("cvt.f64.f32", run("cvt.f64.f32 %o, %a;", [x], np.float64), x.astype(np.float64))
    a = np.concatenate(
        [
            floats(np.float32),
            (rng.normal(size=100) * 2.0 ** rng.integers(-26, 17, 100)).astype(np.float32),
            np.float32([65504, 65519, 65520, 2**-24, 2**-25, 3 * 2**-26]),
        ]
    )
    same(
        "cvt.sat.f32.f32",
        run("cvt.sat.f32.f32 %o, %a;", [a], np.float32),
        np.where(a > 0, np.minimum(a, np.float32(1)), np.float32(0)),
    )
    for mode in ("rn", "rz"):
        half = np.array([round_to(Fraction(float(v)), "f16", mode, np.signbit(v)) for v in a]).astype(np.float16)
        same(f"cvt.{mode}.f16.f32", run(f"cvt.{mode}.f16.f32 %o, %a;", [a], np.float16), half)
        want = (
            np.array([round_to(Fraction(float(v)), "bf16", mode, np.signbit(v)) for v in a], np.float32).view(np.uint32)
            >> 16
        )
        check(f"cvt.{mode}.bf16.f32", (run(f"cvt.{mode}.bf16.f32 %o, %a;", [a], np.uint16) == want).all())
        check(
            f"cvt.{mode}.f16x2.f32",
            (
                run(f"cvt.{mode}.f16x2.f32 %o, %a, %b;", [a, a[::-1]], np.uint32)
                == (half.view(np.uint16).astype(np.uint32) << 16 | half[::-1].view(np.uint16))
            ).all(),
        )
    want = np.array([round_to(Fraction(float(v)), "tf32", "rna", np.signbit(v)) for v in a], np.float32)
    same("cvt.rna.tf32.f32", run("cvt.rna.tf32.f32 %o, %a;", [a], np.float32), want)
    every = np.arange(65536, dtype=np.uint16)
    same(
        "cvt.f32.f16 (all values)",
        run("cvt.f32.f16 %o, %a;", [every], np.float32),
        every.view(np.float16).astype(np.float32),
    )
    same(
        "cvt.f32.bf16 (all values)",
        run("cvt.f32.bf16 %o, %a;", [every], np.float32),
        (every.astype(np.uint32) << 16).view(np.float32),
    )


def test_narrow_formats_round_once():
    a = (rng.normal(size=256) * 2.0 ** rng.integers(-12, 8, 256)).astype(np.float16)
    b, c = rng.permutation(a), rng.permutation(a)
    A, B, Cc = ([Fraction(float(v)) for v in x] for x in (a, b, c))
    exact = {
        "add": [x + y for x, y in zip(A, B, strict=True)],
        "sub": [x - y for x, y in zip(A, B, strict=True)],
        "mul": [x * y for x, y in zip(A, B, strict=True)],
        "fma.rn": [x * y + z for x, y, z in zip(A, B, Cc, strict=True)],
    }
    for op, values in exact.items():
        args = "%o, %a, %b" + (", %c" if op[0] == "f" else "")
        want = np.array([round_to(v, "f16", "rn") for v in values]).astype(np.float16)
        ok = want != 0
        same(f"{op}.f16", run(f"{op}.f16 {args};", [a, b, c], np.float16)[ok], want[ok])
        pairs = run(f"{op}.f16x2 {args};", [a.view(np.uint32), b.view(np.uint32), c.view(np.uint32)], np.uint32).view(
            np.float16
        )
        same(f"{op}.f16x2", pairs[ok], want[ok])
    x = rng.normal(size=256).astype(np.float32).view(np.uint32) >> 16
    y, z = rng.permutation(x), rng.permutation(x)
    X, Y, Z = ([Fraction(float(v)) for v in (w << 16).view(np.float32)] for w in (x, y, z))
    want = (
        np.array([round_to(p * q + r, "bf16") for p, q, r in zip(X, Y, Z, strict=True)], np.float32).view(np.uint32)
        >> 16
    )
    check(
        "fma.rn.bf16",
        (run("fma.rn.bf16 %o, %a, %b, %c;", [w.astype(np.uint16) for w in (x, y, z)], np.uint16) == want).all(),
    )
    same("min.f16", run("min.f16 %o, %a, %b;", [a, b], np.float16), np.minimum(a, b))
    same(
        "max.f16x2",
        run("max.f16x2 %o, %a, %b;", [a.view(np.uint32), b.view(np.uint32)], np.uint32).view(np.float16),
        np.maximum(a, b),
    )
    same("neg.f16", run("neg.f16 %o, %a;", [a], np.float16), -a)
    same("abs.f16x2", run("abs.f16x2 %o, %a;", [a.view(np.uint32)], np.uint32).view(np.float16), np.abs(a))
