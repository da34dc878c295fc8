"""Every opcode against values computed on the host: NumPy and Python integers for integers, rationals for floats."""

import itertools

import numpy as np
from checking import check
from snippet import run

rng = np.random.default_rng(7)
INT = {"u16": np.uint16, "s16": np.int16, "u32": np.uint32, "s32": np.int32, "u64": np.uint64, "s64": np.int64}


def ints(name, count=135):
    """Pairs-with-everything edge values, then random ones."""
    info = np.iinfo(INT[name])
    edge = [0, 1, 2, 3, 7, info.max, info.max - 1, info.min, info.min + 1, info.max // 3] + (
        [-1, -2] if info.min else []
    )
    data = rng.integers(info.min, info.max, count * count, dtype=INT[name], endpoint=True)
    pairs = np.array(list(itertools.product(edge, edge)), dtype=INT[name])
    return (
        np.concatenate([pairs[:, 0], data[:count]]),
        np.concatenate([pairs[:, 1], data[count : 2 * count]]),
        np.concatenate([rng.permutation(pairs[:, 0]), data[2 * count : 3 * count]]),
    )


def wrap(values, name):
    bits = 8 * np.dtype(INT[name]).itemsize
    values = [int(v) & ((1 << bits) - 1) for v in values]
    if name[0] == "s":
        values = [v - (1 << bits) if v >> (bits - 1) else v for v in values]
    return np.array(values, INT[name])


def same(name, got, want):
    bad = np.flatnonzero(got != want)
    check(name, not len(bad), f"{len(bad)} wrong, first at {bad[:1]}: got {got[bad[:1]]} want {want[bad[:1]]}")


def trunc_div(a, b):
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def test_integer_arithmetic_agrees_with_python_integers():
    for t in INT:
        a, b, c = ints(t)
        A, B, Cc = ([int(v) for v in x] for x in (a, b, c))
        bits = 8 * a.dtype.itemsize
        for op, f in {
            "add": lambda x, y: x + y,
            "sub": lambda x, y: x - y,
            "mul.lo": lambda x, y: x * y,
            "mul.hi": lambda x, y, bits=bits: (x * y) >> bits,
            "min": min,
            "max": max,
        }.items():
            same(f"{op}.{t}", run(f"{op}.{t} %o, %a, %b;", [a, b], a.dtype), wrap(map(f, A, B), t))
        nz = [y or 5 for y in B]
        bn = np.array(nz, a.dtype)
        same(f"div.{t}", run(f"div.{t} %o, %a, %b;", [a, bn], a.dtype), wrap(map(trunc_div, A, nz), t))
        same(
            f"rem.{t}",
            run(f"rem.{t} %o, %a, %b;", [a, bn], a.dtype),
            wrap((x - y * trunc_div(x, y) for x, y in zip(A, nz, strict=True)), t),
        )
        same(
            f"mad.lo.{t}",
            run(f"mad.lo.{t} %o, %a, %b, %c;", [a, b, c], a.dtype),
            wrap((x * y + z for x, y, z in zip(A, B, Cc, strict=True)), t),
        )
        if bits > 16:
            same(
                f"mad.hi.{t}",
                run(f"mad.hi.{t} %o, %a, %b, %c;", [a, b, c], a.dtype),
                wrap((((x * y) >> bits) + z for x, y, z in zip(A, B, Cc, strict=True)), t),
            )
        same(
            f"sad.{t}",
            run(f"sad.{t} %o, %a, %b, %c;", [a, b, c], a.dtype),
            wrap((abs(x - y) + z for x, y, z in zip(A, B, Cc, strict=True)), t),
        )
        if t[0] == "s":
            same(f"abs.{t}", run(f"abs.{t} %o, %a;", [a], a.dtype), wrap(map(abs, A), t))
            same(f"neg.{t}", run(f"neg.{t} %o, %a;", [a], a.dtype), wrap((-x for x in A), t))
        if bits < 64:
            w = t[0] + str(2 * bits)
            same(
                f"mul.wide.{t}",
                run(f"mul.wide.{t} %o, %a, %b;", [a, b], INT[w]),
                wrap((x * y for x, y in zip(A, B, strict=True)), w),
            )
            z = ints(w)[2][: len(a)]
            same(
                f"mad.wide.{t}",
                run(f"mad.wide.{t} %o, %a, %b, %c;", [a[: len(z)], b[: len(z)], z], INT[w]),
                wrap((x * y + int(k) for x, y, k in zip(A, B, z, strict=True)), w),
            )
    a, b, c = ints("s32")
    A, B = [int(v) for v in a], [int(v) for v in b]

    def clamp(v):
        return max(-(2**31), min(2**31 - 1, v))

    same(
        "add.sat.s32",
        run("add.sat.s32 %o, %a, %b;", [a, b], np.int32),
        wrap((clamp(x + y) for x, y in zip(A, B, strict=True)), "s32"),
    )
    same(
        "sub.sat.s32",
        run("sub.sat.s32 %o, %a, %b;", [a, b], np.int32),
        wrap((clamp(x - y) for x, y in zip(A, B, strict=True)), "s32"),
    )

    def low24(v, s):
        return ((v & 0xFFFFFF) ^ 0x800000) - 0x800000 if s else v & 0xFFFFFF

    for t, s in (("s32", True), ("u32", False)):
        a, b, c = ints(t)
        A, B, Cc = ([int(v) for v in x] for x in (a, b, c))
        same(
            f"mul24.lo.{t}",
            run(f"mul24.lo.{t} %o, %a, %b;", [a, b], a.dtype),
            wrap((low24(x, s) * low24(y, s) for x, y in zip(A, B, strict=True)), t),
        )
        same(
            f"mul24.hi.{t}",
            run(f"mul24.hi.{t} %o, %a, %b;", [a, b], a.dtype),
            wrap(((low24(x, s) * low24(y, s)) >> 16 for x, y in zip(A, B, strict=True)), t),
        )
        same(
            f"mad24.lo.{t}",
            run(f"mad24.lo.{t} %o, %a, %b, %c;", [a, b, c], a.dtype),
            wrap((low24(x, s) * low24(y, s) + z for x, y, z in zip(A, B, Cc, strict=True)), t),
        )

    def by(v, i, s):
        return (((v >> 8 * i) & 255) ^ 128) - 128 if s else (v >> 8 * i) & 255

    a, b, c = ints("u32")
    for sa, sb in itertools.product((0, 1), (0, 1)):
        t = f"{'s' if sa else 'u'}32.{'s' if sb else 'u'}32"
        same(
            f"dp4a.{t}",
            run(f"dp4a.{t} %o, %a, %b, %c;", [a, b, c], np.uint32),
            wrap(
                (
                    int(z) + sum(by(int(x), i, sa) * by(int(y), i, sb) for i in range(4))
                    for x, y, z in zip(a, b, c, strict=True)
                ),
                "u32",
            ),
        )

    def half(v, i, s):
        return (((v >> 16 * i) & 65535) ^ 32768) - 32768 if s else (v >> 16 * i) & 65535

    same(
        "dp2a.hi",
        run("dp2a.hi.s32.u32 %o, %a, %b, %c;", [a, b, c], np.uint32),
        wrap(
            (
                int(z) + sum(half(int(x), i, 1) * by(int(y), i + 2, 0) for i in range(2))
                for x, y, z in zip(a, b, c, strict=True)
            ),
            "u32",
        ),
    )


def test_carries_pass_from_word_to_word():
    a, b, _ = ints("u64")
    pack = "mov.b64 {%t3, %t4}, %a; mov.b64 {%t5, %t6}, %b; "
    out = " mov.b64 %o, {%t7, %t8};"
    for name, body, f in (
        ("add", "add.cc.u32 %t7, %t3, %t5; addc.u32 %t8, %t4, %t6;", lambda x, y: x + y),
        ("sub", "sub.cc.u32 %t7, %t3, %t5; subc.u32 %t8, %t4, %t6;", lambda x, y: x - y),
    ):
        same(
            f"{name}.cc",
            run(pack + body + out, [a, b], np.uint64),
            wrap((f(int(x), int(y)) for x, y in zip(a, b, strict=True)), "u64"),
        )
    body = (
        "mul.lo.u32 %t7, %t3, %t5; mul.hi.u32 %t8, %t3, %t5; mad.lo.cc.u32 %t7, %t3, %t6, %t7; "
        "madc.hi.u32 %t8, %t3, %t6, %t8;"
    )
    want = []
    for x, y in zip(a, b, strict=True):
        length, yl, yh = int(x) & 0xFFFFFFFF, int(y) & 0xFFFFFFFF, int(y) >> 32
        s = (length * yl & 0xFFFFFFFF) + (length * yh & 0xFFFFFFFF)
        want.append((s & 0xFFFFFFFF) | ((((length * yl) >> 32) + ((length * yh) >> 32) + (s >> 32)) & 0xFFFFFFFF) << 32)
    same("mad.cc/madc", run(pack + body + out, [a, b], np.uint64), wrap(want, "u64"))


def test_bit_operations_agree_with_python_integers():
    for w, t in ((16, "u16"), (32, "u32"), (64, "u64")):
        a, b, _ = ints(t)
        A, B, m = [int(v) for v in a], [int(v) for v in b], (1 << w) - 1
        for op, f in {"and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y}.items():
            same(f"{op}.b{w}", run(f"{op}.b{w} %o, %a, %b;", [a, b], a.dtype), wrap(map(f, A, B), t))
        same(f"not.b{w}", run(f"not.b{w} %o, %a;", [a], a.dtype), wrap((~x for x in A), t))
        same(f"cnot.b{w}", run(f"cnot.b{w} %o, %a;", [a], a.dtype), wrap((x == 0 for x in A), t))
        n = rng.integers(0, w + 9, len(a)).astype(np.uint32)
        n[:3] = [w, w - 1, 2**32 - 1]
        same(
            f"shl.b{w}",
            run(f"shl.b{w} %o, %a, %b;", [a, n], a.dtype),
            wrap((x << min(int(k), w) for x, k in zip(A, n, strict=True)), t),
        )
        same(
            f"shr.u{w}",
            run(f"shr.u{w} %o, %a, %b;", [a, n], a.dtype),
            wrap((x >> min(int(k), w) for x, k in zip(A, n, strict=True)), t),
        )
        s = a.view(INT["s" + t[1:]])
        same(
            f"shr.s{w}",
            run(f"shr.s{w} %o, %a, %b;", [s, n], s.dtype),
            wrap((int(x) >> min(int(k), w) for x, k in zip(s, n, strict=True)), "s" + t[1:]),
        )
        same(
            f"selp.b{w}",
            run(f"setp.lt.u32 %p, %c, 8; selp.b{w} %o, %a, %b, %p;", [a, b, n], a.dtype),
            np.where(n < 8, a, b),
        )
        if w == 16:
            continue
        same(f"popc.b{w}", run(f"popc.b{w} %o, %a;", [a], np.uint32), wrap((x.bit_count() for x in A), "u32"))
        same(f"clz.b{w}", run(f"clz.b{w} %o, %a;", [a], np.uint32), wrap((w - x.bit_length() for x in A), "u32"))
        same(f"brev.b{w}", run(f"brev.b{w} %o, %a;", [a], a.dtype), wrap((int(f"{x:0{w}b}"[::-1], 2) for x in A), t))

        def find(x):
            return x.bit_length() - 1 if x >= 0 else (~x).bit_length() - 1

        for tt, data in ((t, a), ("s" + t[1:], s)):
            same(
                f"bfind.{tt}", run(f"bfind.{tt} %o, %a;", [data], np.uint32), wrap((find(int(x)) for x in data), "u32")
            )
            same(
                f"bfind.shiftamt.{tt}",
                run(f"bfind.shiftamt.{tt} %o, %a;", [data], np.uint32),
                wrap((-1 if find(int(x)) < 0 else w - 1 - find(int(x)) for x in data), "u32"),
            )
        pos, ln = (rng.integers(0, w + 3, len(a)).astype(np.uint32) for _ in "ab")
        pos[:2], ln[:2] = [0, w], [0, w]

        def bfe(x, p, length, signed, w=w, m=m):
            if signed and length:
                sign = x >> min(p + length - 1, w - 1) & 1
                x |= ~m if x >> (w - 1) & 1 else 0
                field = (x >> p) & ((1 << length) - 1) if p < w else (((1 << length) - 1) if x < 0 else 0)
                return field | (-1 << length if sign else 0)
            return (x >> p) & ((1 << length) - 1)

        for signed in (0, 1):
            tt = ("s" if signed else "u") + t[1:]
            same(
                f"bfe.{tt}",
                run(f"bfe.{tt} %o, %a, %b, %c;", [a, pos, ln], a.dtype),
                wrap((bfe(x, int(p), int(length), signed) for x, p, length in zip(A, pos, ln, strict=True)), t),
            )

        def ins(x, y, p, length, w=w):
            return y if p >= w else (y & ~(((1 << length) - 1) << p)) | ((x & ((1 << length) - 1)) << p)

        same(
            f"bfi.b{w}",
            run(f"bfi.b{w} %o, %a, %b, %c, %d;", [a, b, pos, ln], a.dtype),
            wrap(map(ins, A, B, map(int, pos), map(int, ln)), t),
        )
    a, b, c = ints("u32")
    A, B, Cc = ([int(v) for v in x] for x in (a, b, c))
    for d in "lr":
        for mode in ("wrap", "clamp"):
            n = [x & 31 if mode == "wrap" else min(x, 32) for x in Cc]
            f = (lambda x, y, k: ((y << 32 | x) << k) >> 32) if d == "l" else (lambda x, y, k: (y << 32 | x) >> k)
            same(
                f"shf.{d}.{mode}",
                run(f"shf.{d}.{mode}.b32 %o, %a, %b, %c;", [a, b, c], np.uint32),
                wrap(map(f, A, B, n), "u32"),
            )
    for lut in (0x80, 0xFE, 0x96, 0xCA, 0x1D):

        def f(x, y, z, lut=lut):
            return sum(((lut >> ((x >> i & 1) * 4 + (y >> i & 1) * 2 + (z >> i & 1))) & 1) << i for i in range(32))

        same(
            f"lop3 {lut:#x}",
            run(f"lop3.b32 %o, %a, %b, %c, {lut};", [a, b, c], np.uint32),
            wrap(map(f, A, B, Cc), "u32"),
        )

    def prmt(x, y, s):
        source = [(y << 32 | x) >> 8 * i & 255 for i in range(8)]
        return sum(
            (255 * (source[s >> 4 * i & 7] >> 7) if s >> 4 * i & 8 else source[s >> 4 * i & 7]) << 8 * i
            for i in range(4)
        )

    same("prmt", run("prmt.b32 %o, %a, %b, %c;", [a, b, c], np.uint32), wrap(map(prmt, A, B, Cc), "u32"))
    k = a & 3
    rows = {
        "f4e": ["3210", "4321", "5432", "6543"],
        "b4e": ["5670", "6701", "7012", "0123"],
        "rc8": ["0000", "1111", "2222", "3333"],
        "ecl": ["3210", "3211", "3222", "3333"],
        "ecr": ["0000", "1110", "2210", "3210"],
        "rc16": ["1010", "3232", "1010", "3232"],
    }
    for mode, table in rows.items():
        same(
            f"prmt.{mode}",
            run(f"prmt.b32.{mode} %o, %a, %b, %c;", [a, b, k], np.uint32),
            wrap((prmt(x, y, int(table[z], 16)) for x, y, z in zip(A, B, k, strict=True)), "u32"),
        )
    p, length = (rng.integers(0, 40, len(a)).astype(np.uint32) for _ in "ab")
    same(
        "bmsk.clamp",
        run("bmsk.clamp.b32 %o, %a, %b;", [p, length], np.uint32),
        wrap((((1 << min(int(y), 32)) - 1) << min(int(x), 32) for x, y in zip(p, length, strict=True)), "u32"),
    )
    same(
        "bmsk.wrap",
        run("bmsk.wrap.b32 %o, %a, %b;", [p, length], np.uint32),
        wrap((((1 << (int(y) & 31)) - 1) << (int(x) & 31) for x, y in zip(p, length, strict=True)), "u32"),
    )

    def ext(x, n):
        return x & ((1 << n) - 1) | (-1 << n if n and x >> (n - 1) & 1 else 0)

    same(
        "szext.clamp.s32",
        run("szext.clamp.s32 %o, %a, %b;", [a, length], np.uint32),
        wrap((ext(x, min(int(n), 32)) for x, n in zip(A, length, strict=True)), "u32"),
    )
    x = ints("u64")[0]
    swapped = [(int(v) >> 32) | ((int(v) >> 16 & 65535) | (int(v) & 65535) << 16) << 32 for v in x]
    same(
        "mov pack",
        run(
            "mov.b64 {%t3, %t4}, %a; mov.b32 {%h0, %h1}, %t3; mov.b32 %t3, {%h1, %h0}; mov.b64 %o, {%t4, %t3};",
            [x],
            np.uint64,
        ),
        wrap(swapped, "u64"),
    )

    def nth(m, base, k):
        return (
            (base if m >> base & 1 else 2**32 - 1)
            if k == 0
            else ([i for i in (range(base, 32) if k > 0 else range(base, -1, -1)) if m >> i & 1] + [2**32 - 1] * 40)[
                abs(k) - 1
            ]
        )

    base, k = rng.integers(0, 32, len(a)).astype(np.uint32), rng.integers(-6, 7, len(a)).astype(np.int32)
    same(
        "fns",
        run("fns.b32 %o, %a, %b, %c;", [a, base, k], np.uint32),
        wrap((nth(x, int(q), int(r)) for x, q, r in zip(A, base, k, strict=True)), "u32"),
    )


def test_comparisons_agree_with_numpy_for_every_pair_of_edge_values():
    table = {
        "eq": np.equal,
        "ne": np.not_equal,
        "lt": np.less,
        "le": np.less_equal,
        "gt": np.greater,
        "ge": np.greater_equal,
    }
    for t in INT:
        a, b, _ = ints(t)
        for c, f in table.items():
            same(
                f"setp.{c}.{t}",
                run(f"setp.{c}.{t} %p, %a, %b; selp.u32 %o, 1, 0, %p;", [a, b], np.uint32),
                f(a, b).astype(np.uint32),
            )
    for t, dtype in (("f32", np.float32), ("f64", np.float64), ("f16", np.float16)):
        edge = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1.5], dtype)
        a, b = (x.ravel() for x in np.meshgrid(edge, edge))
        nan = np.isnan(a) | np.isnan(b)
        for c, f in table.items():
            same(
                f"setp.{c}.{t}",
                run(f"setp.{c}.{t} %p, %a, %b; selp.u32 %o, 1, 0, %p;", [a, b], np.uint32),
                (f(a, b) & ~nan).astype(np.uint32),
            )
            same(
                f"setp.{c}u.{t}",
                run(f"setp.{c}u.{t} %p, %a, %b; selp.u32 %o, 1, 0, %p;", [a, b], np.uint32),
                (f(a, b) | nan).astype(np.uint32),
            )
        same(
            f"setp.num.{t}",
            run(f"setp.num.{t} %p, %a, %b; selp.u32 %o, 1, 0, %p;", [a, b], np.uint32),
            (~nan).astype(np.uint32),
        )
        same(
            f"setp.nan.{t}",
            run(f"setp.nan.{t} %p, %a, %b; selp.u32 %o, 1, 0, %p;", [a, b], np.uint32),
            nan.astype(np.uint32),
        )
    a, b, c = ints("s32")
    lt, third = a < b, c > 0
    for logic, f in (("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)):
        body = (
            f"setp.gt.s32 %q, %c, 0; setp.lt.{logic}.s32 %p|%q, %a, %b, !%q; selp.u32 %t3, 1, 0, %p; "
            f"selp.u32 %t4, 2, 0, %q; or.b32 %o, %t3, %t4;"
        )
        same(
            f"setp.{logic} p|q", run(body, [a, b, c], np.uint32), (f(lt, ~third) + 2 * f(~lt, ~third)).astype(np.uint32)
        )
        body = f"setp.lt.s32 %p, %a, %b; setp.gt.s32 %q, %c, 0; {logic}.pred %p, %p, %q; selp.u32 %o, 1, 0, %p;"
        same(f"{logic}.pred", run(body, [a, b, c], np.uint32), f(lt, third).astype(np.uint32))
    same(
        "not.pred",
        run("setp.lt.s32 %p, %a, %b; not.pred %q, %p; selp.u32 %o, 1, 0, %q;", [a, b], np.uint32),
        (~lt).astype(np.uint32),
    )
    same(
        "set.lt.u32", run("set.lt.u32.s32 %o, %a, %b;", [a, b], np.uint32), np.where(lt, 2**32 - 1, 0).astype(np.uint32)
    )
    same("set.lt.f32", run("set.lt.f32.s32 %o, %a, %b;", [a, b], np.float32), lt.astype(np.float32))
    same("slct.s32", run("slct.u32.s32 %o, %a, %b, %c;", [a, b, c], np.int32), np.where(c >= 0, a, b))
    x = np.array([0.0, -0.0, 1, np.inf, -np.inf, np.nan, 1e-40, -1e-44], np.float32)
    sub = (x != 0) & (np.abs(x) < np.float32(1.1754944e-38))
    for kind, f in (
        ("finite", np.isfinite(x)),
        ("infinite", np.isinf(x)),
        ("number", ~np.isnan(x)),
        ("notanumber", np.isnan(x)),
        ("normal", np.isfinite(x) & ~sub),
        ("subnormal", sub),
    ):
        same(
            f"testp.{kind}",
            run(f"testp.{kind}.f32 %p, %a; selp.u32 %o, 1, 0, %p;", [x], np.uint32),
            f.astype(np.uint32),
        )


def test_packed_halves_compare_in_pairs():
    edge = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1.5, 6e-8], np.float16)
    a, b = (np.ascontiguousarray(x.ravel()) for x in np.meshgrid(edge, edge))
    a, b = np.concatenate([a, a[:1]]), np.concatenate([b, b[:1]])  # an even number
    pa, pb = a.view(np.uint32), b.view(np.uint32)
    nan = np.isnan(a) | np.isnan(b)
    for name, function in (("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("ge", np.greater_equal)):
        for unordered in (False, True):
            op = name + ("u" if unordered else "")
            want = (function(a, b) | nan) if unordered else (function(a, b) & ~nan)
            got = run(f"set.{op}.f16x2.f16x2 %o, %a, %b;", [pa, pb], np.uint32).view(np.float16)
            same(f"set.{op}.f16x2.f16x2", got, want.astype(np.float16))
            got = run(f"set.{op}.u32.f16x2 %o, %a, %b;", [pa, pb], np.uint32).view(np.uint16)
            same(f"set.{op}.u32.f16x2", got, np.where(want, 0xFFFF, 0).astype(np.uint16))
            got = run(f"set.{op}.f16.f16 %o, %a, %b;", [a, b], np.float16)
            same(f"set.{op}.f16.f16", got, want.astype(np.float16))
            both = "selp.u32 %t3, 1, 0, %p; selp.u32 %t4, 2, 0, %q; or.b32 %o, %t3, %t4;"
            got = run(f"setp.{op}.f16x2 %p|%q, %a, %b; {both}", [pa, pb], np.uint32)
            same(f"setp.{op}.f16x2", got, (want[0::2] + 2 * want[1::2]).astype(np.uint32))
            got = run(f"setp.ne.u32 %p, %b, %b; setp.{op}.or.f16x2 %p|%q, %a, %b, !%p; {both}", [pa, pb], np.uint32)
            same(f"setp.{op}.or.f16x2", got, np.full(len(pa), 3, np.uint32))
    x = (np.arange(64, dtype=np.float32) / 8 - 4).view(np.uint32) >> 16
    y = x[::-1].copy()
    pairs = x[0::2] | x[1::2] << np.uint32(16), y[0::2] | y[1::2] << np.uint32(16)
    want = (x << np.uint32(16)).view(np.float32) < (y << np.uint32(16)).view(np.float32)
    got = run("set.lt.bf16x2.bf16x2 %o, %a, %b;", [p.astype(np.uint32) for p in pairs], np.uint32).view(np.uint16)
    same("set.lt.bf16x2", got, np.where(want, 0x3F80, 0).astype(np.uint16))
