"""The sample kernels against NumPy, for each target family, under every schedule."""

import numpy as np
from building import own_file
from checking import check
from vm import SCHEDULES, VM

# Every schedule, and all accesses looked at once: these kernels have no races in global memory either.
RUNS = [*SCHEDULES, {"races": "global"}]


def load(name, arch):
    return VM(own_file(f"{name}.{arch}.ptx"))


def covered(vm, arch, *kernels):
    for kernel in kernels:
        total, missed = vm.coverage(kernel)
        check(f"coverage {kernel} {arch}", not missed, f"{len(missed)} of {total}: {missed[:3]}")


def test_histograms_with_shared_and_global_atomics_equal_numpy(arch):
    rng, vm = np.random.default_rng(1), load("hist", arch)
    rows_n, features, bins_n = 1000, 3, 37
    bins = rng.integers(0, bins_n, (features, rows_n), dtype=np.uint8)
    gh = (rng.integers(-64, 64, (rows_n, 2)) / 16).astype(np.float32)
    rows = rng.permutation(rows_n).astype(np.int32)
    for options in RUNS:
        vm.options(**options)
        out, count = np.zeros((features, bins_n, 2)), np.zeros((features, bins_n), np.uint32)
        vm.launch(
            "hist_f32", (4, features), 128, bins, gh, rows, rows_n, features, bins_n, out, count, shared=bins_n * 12
        )
        want = np.array([[np.bincount(b, gh[:, c], bins_n) for c in (0, 1)] for b in bins]).transpose(0, 2, 1)
        check(
            f"hist_f32 {arch}",
            np.array_equal(out, want) and np.array_equal(count, [np.bincount(b, minlength=bins_n) for b in bins]),
        )
        x = rng.normal(0, 1, (257, 4)).astype(np.float32)
        sums, largest, fmax = np.zeros(64, np.uint64), np.array([-1], np.int32), np.array([-9e9], np.float32)
        vm.launch("hist_fix", 3, 96, x, 257, np.float32(-4), np.float32(8), 64, sums, largest, fmax)
        b = np.clip(np.floor((x.ravel() + np.float32(4)) * np.float32(8)).astype(int), 0, 63)
        q = np.rint(x.ravel() * np.float32(65536)).astype(np.int64)
        want = np.zeros(64, np.uint64)
        np.add.at(want, b, (q << 16).view(np.uint64) + np.uint64(1))
        check(f"hist_fix {arch}", np.array_equal(sums, want) and largest[0] == b.max() and fmax[0] == x.max())
    covered(vm, arch, "hist_f32", "hist_fix")


def test_scans_splits_and_partitions_equal_numpy(arch):
    rng, vm = np.random.default_rng(2), load("scan", arch)
    for options in RUNS:
        vm.options(**options)
        for n in (1, 31, 32, 255, 256, 257, 700):
            v = rng.integers(-(2**20), 2**20, n, dtype=np.int32)
            out = np.zeros_like(v)
            vm.launch("scan_i32", (n + 255) // 256, 256, v, out, n)
            check(
                f"scan_i32 n={n} {arch}",
                np.array_equal(out, np.concatenate([np.cumsum(c) for c in np.split(v, range(256, n, 256))])),
            )
        # The loop over warps is unrolled: several remainders, and the best split in any of the warps.
        for threads in (224, 256, 992, 1024):
            bins = threads - 24
            H = np.stack([rng.normal(size=(40, bins)), rng.uniform(0.1, 2, (40, bins))], -1)
            H[np.arange(40), rng.integers(0, bins, 40), 0] += 60  # a step somewhere, so that the split falls near it
            G, Hc = np.cumsum(H[..., 0], 1), np.cumsum(H[..., 1], 1)
            Gt, Ht = G[:, -1:], Hc[:, -1:]
            score = (G**2 / (Hc + 1) + (Gt - G) ** 2 / (Ht - Hc + 1) - Gt**2 / (Ht + 1))[:, :-1]
            gain, best = np.zeros(40), np.zeros(40, np.int32)
            vm.launch("best_split", 40, threads, H, bins, 1.0, gain, best)
            check(
                f"best_split {threads} {arch}",
                np.array_equal(best, score.argmax(1)) and np.allclose(gain, score.max(1), rtol=1e-9),
            )
        n = 500
        rows, b = rng.permutation(n).astype(np.int32), rng.integers(0, 200, n, dtype=np.uint8)
        left, cursor, classes, sums = (
            np.full(n, -1, np.int32),
            np.zeros(2, np.int32),
            np.zeros(8, np.int32),
            np.zeros(16, np.int32),
        )
        vm.launch("partition", 4, 128, rows, b, n, 90, left, cursor, classes, sums)
        padded = np.concatenate([b[rows].astype(int), np.zeros(12, int)]).reshape(16, 32).sum(1)
        check(
            f"partition {arch}",
            cursor[0] == (b <= 90).sum()
            and set(left[: cursor[0]]) == set(rows[b[rows] <= 90])
            and np.array_equal(classes, np.bincount(b & 7, minlength=8))
            and np.array_equal(sums, padded),
        )
    covered(vm, arch, "scan_i32", "best_split", "partition")


def test_kernel_sums_and_library_functions_are_close(arch):
    rng, vm = np.random.default_rng(3), load("rbf", arch)
    for n, m, d in ((37, 41, 23), (16, 16, 16), (33, 15, 17), (1, 1, 1)):
        X, Y, a = (rng.normal(size=s).astype(np.float32) for s in ((n, d), (m, d), m))
        want = np.exp(-0.05 * ((X[:, None].astype(float) - Y[None]) ** 2).sum(-1)) @ a
        for options in RUNS:
            for noise in (0, 2):
                vm.options(noise=noise, **options)
                for kernel in ("rbf_sum", "rbf_sum_fast"):
                    out = np.full(n, np.nan, np.float32)
                    vm.launch(kernel, (n + 15) // 16, (16, 16), X, Y, a, n, m, d, np.float32(0.05), out)
                    check(f"{kernel} {n}x{m}x{d} {arch}", np.abs(out - want).max() < 1e-5)
    covered(vm, arch, "rbf_sum", "rbf_sum_fast")
    n = 300
    x, y = rng.normal(0, 3, n).astype(np.float32), rng.normal(0, 3, n)
    x[:4] = [0, 1e-6, 40, -40]
    o, od, oi = np.zeros(n, np.float32), np.zeros(n), rng.integers(0, 5, n).astype(np.int32)
    before = oi.copy()
    vm.options()
    vm.launch("misc", 3, 128, x, y, n, o, od, oi)
    v = x.astype(float)
    want = (
        np.sqrt(abs(v))
        + 1 / (1 + np.exp(-v))
        + np.log(1 + v * v)
        + np.tanh(v)
        + 1 / np.sqrt(1 + v * v)
        + np.sin(v)
        + abs(v) ** 1.7
    )
    check(f"f32 library functions {arch}", (abs(o - want) / abs(want)).max() < 1e-6)
    want = np.exp(y) + np.log(1 + y * y) + np.sqrt(abs(y)) / (2 + y * y) + np.rint(y) + np.floor(y)
    check(f"f64 library functions {arch}", (abs(od - want) / abs(want)).max() < 1e-14)

    def integer(i, k0):
        loc = [(i * 7 + k * 13) % (k + 3) for k in range(8)]
        s = sum(loc[(i + k * k0) & 7] * (k + 1) for k in range(8))
        h = ((i * 2654435761 & 0xFFFFFFFF) * 12345) >> 32
        return (
            s
            + (32 - (i + 1).bit_length())
            + int(f"{i:032b}"[::-1], 2) % 97
            + h
            - ((h >> 31) << 32)
            + ((i << 3) & -(i << 3)).bit_length()
            + i // 7
        )

    check(f"integer functions {arch}", np.array_equal(oi, [integer(i, int(before[i])) for i in range(n)]))


def test_blocks_of_the_core_libraries_equal_numpy(arch):
    rng, vm = np.random.default_rng(4), load("cub_block", arch)
    for options in RUNS:
        vm.options(limit=5_000_000, **options)
        keys = rng.integers(-(2**31), 2**31 - 1, 512, dtype=np.int32)
        f = (rng.integers(-100, 100, 128) / 8).astype(np.float32)
        ordered, scan, total, fsum = (
            np.zeros(512, np.int32),
            np.zeros(128, np.int32),
            np.zeros(1, np.int32),
            np.zeros(1, np.float32),
        )
        vm.launch("k_cub", 1, 128, keys, ordered, scan, total, f, fsum, 128)
        c = np.cumsum(keys[::4], dtype=np.int32)
        check(
            f"block sort, scan, reduce {arch}",
            np.array_equal(ordered, np.sort(keys))
            and np.array_equal(scan[1:], c[:-1])
            and scan[0] == 0
            and total[0] == c[-1]
            and fsum[0] == f.sum(),
        )
        x = rng.normal(0, 100, 1000).astype(np.float16)
        x[:3] = [6e-8, 65504, -1e-6]
        y = (rng.normal(0, 1, 1000).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        yf = (y.astype(np.uint32) << 16).view(np.float32)
        o, oh = np.zeros(1000, np.float32), np.zeros(1000, np.float16)
        vm.launch("k_half", 8, 128, x, y, 1000, o, oh)
        check(
            f"half {arch}",
            np.array_equal(o, x.astype(np.float32) * yf)
            and np.array_equal(oh, (x.astype(np.float32) + yf).astype(np.float16)),
        )
        z, r = (rng.integers(-100, 100, 777) / 4).astype(np.float32), np.zeros(1, np.float32)
        vm.launch("k_cg", 1, 96, z, 777, r)
        check(f"cooperative groups {arch}", r[0] == z.sum())
        d, u = rng.normal(0, 2, 60), rng.integers(0, 2**63, 60).astype(np.uint64)
        od, u0 = np.zeros(60), u.copy()
        vm.launch("k_call", 1, 64, d, 60, od, u)
        want = []
        for i in range(60):
            q = 0.0
            for k in range(3 + (i & 3)):
                q = q * d[i] + k
            q += 2.0 ** (i % 5)
            want.append([q + 1, q * 2, q - 3, -q, q / 3, abs(q) ** 0.3, np.sin(q * 1e6)][i % 7])
        wide = [(int(v) * 0x9E3779B97F4A7C15 + 12345) & (2**128 - 1) for v in u0]
        # The sine of a large argument magnifies the fused multiply-add that the reference does not do.
        check(
            f"calls, switch, 128-bit integers {arch}",
            np.allclose(od, want, rtol=1e-9, atol=1e-7)
            and all(int(v) == (p >> 64) ^ ((p & (2**64 - 1)) % 1000003) for v, p in zip(u, wide, strict=True)),
        )
        if options:
            vm.options(limit=5_000_000, **{**options, "resident": 6})
        parts, flags, prefix, out = (
            np.arange(1, 7, dtype=np.int32),
            np.zeros(6, np.int32),
            np.zeros(6, np.int32),
            np.zeros(6 * 32, np.int32),
        )
        vm.launch("k_lookback", 6, 32, parts, flags, prefix, out)
        check(
            f"look-back {arch}", np.array_equal(out.reshape(6, 32)[:, 0], np.concatenate([[0], np.cumsum(parts)[:-1]]))
        )
