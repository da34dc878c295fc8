"""Warp-level operations, memory, atomics, barriers, control flow, matrix multiply and error reports."""

import numpy as np
from checking import check
from snippet import run, source
from vm import SCHEDULES, VM, PtxError

rng = np.random.default_rng(5)
LANE = np.arange(128) % 32


def test_shuffles_move_values_between_lanes():
    a = rng.integers(0, 2**32, 128, dtype=np.uint32)
    warp = np.arange(128) // 32 * 32
    for options in SCHEDULES:
        for width in (32, 16, 8):
            c = (32 - width) << 8
            for mode, delta in (("up", 3), ("down", 5), ("bfly", 6), ("idx", 4)):
                low, high = LANE & ~(width - 1), LANE | (width - 1)
                j = {
                    "up": LANE - delta,
                    "down": LANE + delta,
                    "bfly": LANE ^ delta,
                    "idx": low | (delta & (width - 1)),
                }[mode]
                valid = j >= low if mode == "up" else j <= high
                want = a[warp + np.where(valid, j, LANE)]
                clamp = c if mode == "up" else c | 31
                body = f"shfl.sync.{mode}.b32 %o|%p, %a, {delta}, {clamp}, -1; @!%p xor.b32 %o, %o, -1;"
                got = run(body, [a], np.uint32, **options)
                check(f"shfl.{mode} width {width}", (got == np.where(valid, want, ~want)).all(), str(options))


def test_votes_matches_and_reductions_see_all_lanes():
    a = rng.integers(0, 3, 128, dtype=np.uint32)
    a[32:64], a[64:96] = 1, 0
    groups = (a == 1).reshape(4, 32)
    ballot = (groups * (1 << np.arange(32, dtype=np.uint64))).sum(1)

    def spread(x):
        return np.repeat(x, 32)

    for options in SCHEDULES:
        pre = "setp.eq.u32 %p, %a, 1; "
        check(
            "vote.ballot",
            (run(pre + "vote.sync.ballot.b32 %o, %p, -1;", [a], np.uint32, **options) == spread(ballot)).all(),
        )
        for mode, want in (("all", groups.all(1)), ("any", groups.any(1)), ("uni", groups.all(1) | ~groups.any(1))):
            got = run(pre + f"vote.sync.{mode}.pred %q, %p, -1; selp.u32 %o, 1, 0, %q;", [a], np.uint32, **options)
            check(f"vote.{mode}", (got == spread(want)).all())
        got = run(pre + "vote.sync.any.pred %q, !%p, -1; selp.u32 %o, 1, 0, %q;", [a], np.uint32, **options)
        check("vote.any negated", (got == spread((~groups).any(1))).all())
        want = [sum(1 << lane for lane in range(32) if a[i // 32 * 32 + lane] == a[i]) for i in range(128)]
        check("match.any", (run("match.any.sync.b32 %o, %a, -1;", [a], np.uint32, **options) == want).all())
        got = run(
            "cvt.u64.u32 %x3, %a; match.all.sync.b64 %o|%p, %x3, -1; @!%p mov.u32 %o, 7;", [a], np.uint32, **options
        )
        check("match.all", (got == spread(np.where([len(set(g)) == 1 for g in a.reshape(4, 32)], 2**32 - 1, 7))).all())
        for op, f in (
            ("add", np.add),
            ("min", np.minimum),
            ("max", np.maximum),
            ("and", np.bitwise_and),
            ("or", np.bitwise_or),
            ("xor", np.bitwise_xor),
        ):
            t = "s32" if op in ("add", "min", "max") else "b32"
            x = rng.integers(-(2**31), 2**31, 128).astype(np.int32)
            want = spread(f.reduce(x.reshape(4, 32), axis=1, dtype=np.int32))
            check(f"redux.{op}", (run(f"redux.sync.{op}.{t} %o, %a, -1;", [x], np.int32, **options) == want).all())
        # Two halves of a warp with masks of their own, reached by different paths.
        body = (
            "and.b32 %t3, %a, 31; setp.lt.u32 %p, %t3, 16; @%p bra LOW; redux.sync.add.u32 %o, %t3, 0xffff0000; "
            "bra END;"
            "LOW: redux.sync.add.u32 %o, %t3, 0xffff; END: bar.warp.sync -1;"
        )
        check(
            "divergent masks",
            (run(body, [LANE.astype(np.uint32)], np.uint32, **options) == np.where(LANE < 16, 120, 376)).all(),
        )
    check(
        "elect",
        (
            run("elect.sync %o|%p, -1; selp.u32 %t3, 32, 0, %p; add.u32 %o, %o, %t3;", [a], np.uint32)
            == np.where(LANE == 0, 32, 0)
        ).all(),
    )
    check("activemask", (run("activemask.b32 %o;", [a[:40]], np.uint32) == [2**32 - 1] * 32 + [255] * 8).all())
    for name, want in (
        ("lt", (1 << LANE) - 1),
        ("le", (2 << LANE) - 1),
        ("eq", 1 << LANE),
        ("ge", 2**32 - (1 << LANE)),
        ("gt", 2**32 - (2 << LANE)),
    ):
        check(f"lanemask_{name}", (run(f"mov.u32 %o, %lanemask_{name};", [a], np.uint32) == want).all())


def test_atomics_are_indivisible_in_every_schedule():
    old = np.int64(5)
    cases = {
        "add.u32": 5 + 3,
        "min.s32": 3,
        "max.s32": 5,
        "and.b32": 5 & 3,
        "or.b32": 5 | 3,
        "xor.b32": 5 ^ 3,
        "inc.u32": 0,
        "dec.u32": 3,
        "exch.b32": 3,
        "add.u64": 8,
        "min.u64": 3,
        "max.s64": 5,
        "and.b64": 1,
        "exch.b64": 3,
    }
    wrapping = [("inc.u32", 5, 0), ("inc.u32", 9, 6), ("dec.u32", 5, 4), ("dec.u32", 9, 4), ("dec.u32", 4, 4)]
    for op, operand, want in [(op, 3, want) for op, want in cases.items()] + wrapping:
        size = int(op[-2:]) // 8
        for space, decl, base in (
            ("global", "", "ld.param.u64 %x4, [in0];"),
            ("shared", ".shared .align 8 .b64 cell;", "mov.u64 %x4, cell;"),
        ):
            reg, three = ("%x5", "%x6") if size == 8 else ("%t3", "%t4")
            init = "" if space == "global" else f"st.shared.b{8 * size} [%x4], {5};"
            body = (
                f"{base} {init} mov.b{8 * size} {three}, {operand}; atom.{space}.{op} {reg}, [%x4], {three}; "
                f"ld.{space}.b{8 * size} %o, [%x4];"
            )
            kind = np.uint64 if size == 8 else np.uint32
            cell = np.array([old], kind)
            check(f"atom.{space}.{op} {operand}", run(body, [cell], kind, extra=decl, block=32)[0] == want)
    for t, kind in (("f32", np.float32), ("f64", np.float64)):
        body = f"ld.param.u64 %x4, [in0]; red.global.add.{t} [%x4], %b; bar.sync 0; ld.global.{t} %o, [%x4];"
        x = np.zeros(128, kind)
        y = (rng.integers(-64, 64, 128) / 8).astype(kind)
        for options in SCHEDULES:
            check(f"red.add.{t}", (run(body, [x.copy(), y], kind, **{**options, "resident": 1}) == y.sum()).all())
    h = (rng.integers(-8, 8, 64) / 4).astype(np.float16)
    body = "ld.param.u64 %x4, [in0]; red.global.add.noftz.f16x2 [%x4], %b; bar.sync 0; ld.global.u32 %o, [%x4];"
    got = run(body, [np.zeros(32, np.uint32), h.view(np.uint32)], np.uint32)
    check("red.add.f16x2", (got[:1].view(np.float16) == [h[0::2].sum(), h[1::2].sum()]).all())
    body = "ld.param.u64 %x4, [in0]; atom.global.cas.b32 %o, [%x4], 5, 9; bar.sync 0;"
    cell = np.full(32, 5, np.uint32)
    check("atom.cas", sorted(run(body, [cell], np.uint32)) == [5] + [9] * 31 and cell[0] == 9)


def test_loads_and_stores_reach_every_space():
    a = rng.integers(0, 256, 128, dtype=np.uint8)
    for t, view in (("s8", np.int8), ("u8", np.uint8)):
        got = run(
            (
                f"ld.param.u64 %x3, [in0]; cvt.u64.u32 %x4, %t0; add.s64 %x3, %x3, %x4; ld.global.{t} %t5, [%x3]; "
                f"mov.u32 %o, %t5;"
            ),
            [a],
            np.uint32,
        )
        check(f"ld.{t} extends", (got == a.view(view).astype(np.int32).view(np.uint32)).all())
    body = (
        "mov.b64 {%t3, %t4}, %a; st.shared.v2.u32 [buf], {%t3, %t4}; ld.shared.v2.u32 {%t5, %t6}, [buf]; "
        "mov.b64 %o, {%t6, %t5};"
    )
    x = rng.integers(0, 2**63, 1, dtype=np.uint64)
    check(
        "v2 shared",
        run(body, [x], np.uint64, extra=".shared .align 8 .b8 buf[8];", block=1)[0]
        == (x[0] >> np.uint64(32) | x[0] << np.uint64(32)),
    )
    body = (
        "mov.u64 %x3, loc; cvta.local.u64 %x4, %x3; st.u32 [%x4+4], %a; ld.local.u32 %t3, [loc+4]; "
        "isspacep.local %p, %x4; isspacep.shared %q, %x4;"
        "selp.u32 %t4, 1, 0, %p; selp.u32 %t5, 1, 0, %q; shl.b32 %t5, %t5, 1; add.u32 %t3, %t3, %t4; "
        "add.u32 %o, %t3, %t5;"
    )
    v = rng.integers(0, 2**30, 64, dtype=np.uint32)
    check("local, generic, isspacep", (run(body, [v], np.uint32, extra=".local .align 4 .b8 loc[8];") == v + 1).all())
    copy = (
        "mov.u32 %t3, %tid.x; shl.b32 %t4, %t3, 2; mov.u32 %t5, sh; add.u32 %t5, %t5, %t4; "
        "ld.param.u64 %x3, [in0]; mul.wide.u32 %x4, %t0, 4; add.s64 %x3, %x3, %x4;"
        "cp.async.ca.shared.global [%t5], [%x3], 4; cp.async.wait_all; bar.sync 0; mov.u32 %t6, 127; "
        "sub.u32 %t6, %t6, %t3; shl.b32 %t6, %t6, 2; mov.u32 %t5, sh; add.u32 %t5, %t5, %t6; "
        "ld.shared.u32 %o, [%t5];"
    )
    w = rng.integers(0, 2**32, 128, dtype=np.uint32)
    check("cp.async", (run(copy, [w], np.uint32, extra=".shared .align 16 .b8 sh[512];") == w[::-1]).all())
    vm = VM(
        ".version 8.0\n.target sm_80\n.address_size 64\n.global .align 4 .u32 tab[3] = {7, 8, 9};"
        "\n.const .align 8 .u64 ptr = generic(tab);\n"
        ".visible .entry k(.param .u64 o) { .reg .b64 %x<3>; .reg .b32 %r; ld.param.u64 %x0, [o]; "
        "ld.const.u64 %x1, [ptr]; ld.global.u32 %r, [%x1+8]; st.global.u32 [%x0], %r; ret; }\n"
    )
    out = np.zeros(1, np.uint32)
    vm.launch("k", 1, 1, out)
    check("initialised variables and relocation", out[0] == 9)
    vm.variable("tab").view(np.uint32)[2] = 11
    vm.launch("k", 1, 1, out)
    check("variable access", out[0] == 11)


def test_barriers_join_and_reduce_the_block():
    a = rng.integers(0, 5, 128, dtype=np.uint32)
    for options in SCHEDULES:
        body = "setp.eq.u32 %p, %a, 1; bar.red.popc.u32 %o, 0, %p;"
        check("bar.red.popc", (run(body, [a], np.uint32, **options) == (a == 1).sum()).all())
        for op, want in (("and", 0), ("or", 1)):
            body = f"setp.eq.u32 %p, %a, 1; bar.red.{op}.pred %q, 0, %p; selp.u32 %o, 1, 0, %q;"
            check(f"bar.red.{op}", (run(body, [a], np.uint32, **options) == want).all())
        # Warps 0-1 produce, warps 2-3 consume, through a barrier of 128 threads.
        body = (
            "mov.u32 %t3, %tid.x; and.b32 %t4, %t3, 63; shl.b32 %t4, %t4, 2; mov.u32 %t5, sh; "
            "add.u32 %t5, %t5, %t4; setp.lt.u32 %p, %t3, 64; @%p bra MAKE;"
            "bar.sync 1, 128; ld.shared.u32 %o, [%t5]; bra OUT; MAKE: st.shared.u32 [%t5], %a; "
            "bar.arrive 1, 128; mov.u32 %o, %a; OUT:"
        )
        check(
            "bar.arrive",
            (run(body, [a], np.uint32, extra=".shared .align 4 .b8 sh[256];", **options) == np.tile(a[:64], 2)).all(),
        )
    body = (
        "mov.u32 %t3, 0; rem.u32 %t4, %a, 3; L0: brx.idx %t4, T; T: .branchtargets A, B, C; "
        "A: mov.u32 %o, 10; bra E; B: mov.u32 %o, 20; bra E; C: mov.u32 %o, 30; E:"
    )
    for options in SCHEDULES:
        check("brx.idx", (run(body, [a], np.uint32, **options) == (a % 3 + 1) * 10).all())


def test_matrix_fragments_multiply():
    for kind, k, shape in (
        ("tf32", 8, "m16n8k8"),
        ("f16", 16, "m16n8k16"),
        ("bf16", 16, "m16n8k16"),
        ("f16", 8, "m16n8k8"),
    ):
        A, B, Cm = (
            rng.normal(size=(16, k)).astype(np.float32),
            rng.normal(size=(k, 8)).astype(np.float32),
            rng.normal(size=(16, 8)).astype(np.float32),
        )
        if kind == "f16":
            A, B = A.astype(np.float16), B.astype(np.float16)
        else:
            cut = np.uint32(0xFFFFE000 if kind == "tf32" else 0xFFFF0000)
            A, B = (A.view(np.uint32) & cut).view(np.float32), (B.view(np.uint32) & cut).view(np.float32)
        word = (
            (lambda v: v.view(np.uint32))
            if kind == "tf32"
            else (lambda v: v.view(np.uint16).astype(np.uint32))
            if kind == "f16"
            else (lambda v: v.view(np.uint32) >> 16)
        )
        per = 1 if kind == "tf32" else 2
        Aw, Bw = word(np.ascontiguousarray(A)), word(np.ascontiguousarray(B))
        na, nb = 16 * k // 32 // per, 8 * k // 32 // per
        av, bv = np.zeros((32, na), np.uint32), np.zeros((32, nb), np.uint32)
        for lane in range(32):
            g, t = divmod(lane, 4)
            for r in range(na):
                for p in range(per):
                    av[lane, r] |= Aw[g + 8 * (r % 2), t * per + p + 4 * per * (r // 2)] << np.uint32(16 * p)
            for r in range(nb):
                for p in range(per):
                    bv[lane, r] |= Bw[t * per + p + 4 * per * r, g] << np.uint32(16 * p)

        def regs(n, at):
            return "{" + ", ".join(f"%w{at + i}" for i in range(n)) + "}"

        load = "".join(
            f"ld.param.u64 %x3, [in0]; mad.wide.u32 %x3, %t0, {4 * na}, %x3; ld.global.u32 %w{i}, [%x3+{4 * i}];"
            for i in range(na)
        )
        load += "".join(
            f"ld.param.u64 %x3, [in1]; mad.wide.u32 %x3, %t0, {4 * nb}, %x3; ld.global.u32 %w{8 + i}, [%x3+{4 * i}];"
            for i in range(nb)
        )
        pos = "shr.u32 %t3, %t0, 2; and.b32 %t4, %t0, 3; mad.lo.u32 %t5, %t3, 8, 0; mad.lo.u32 %t5, %t4, 2, %t5;"
        load += (
            pos
            + "ld.param.u64 %x3, [in2]; mad.wide.u32 %x3, %t5, 4, %x3; "
            + "".join(f"ld.global.u32 %w{12 + i}, [%x3+{o}];" for i, o in enumerate((0, 4, 256, 260)))
        )
        body = load + (
            f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 {regs(4, 16)}, {regs(na, 0)}, "
            f"{regs(nb, 8)}, {regs(4, 12)};"
        )
        body += (
            "ld.param.u64 %x3, [in3]; mad.wide.u32 %x3, %t5, 4, %x3; "
            + "".join(f"st.global.u32 [%x3+{o}], %w{16 + i};" for i, o in enumerate((0, 4, 256, 260)))
            + "mov.u32 %o, 0;"
        )
        out = np.zeros((16, 8), np.float32)
        flat = [np.ascontiguousarray(v).ravel() for v in (av, bv)]
        pad = [np.resize(v, max(len(v), 32)) for v in flat]
        vm = VM(
            source(
                body,
                [pad[0], pad[1], Cm.ravel().view(np.uint32), out.ravel().view(np.uint32)],
                np.dtype(np.uint32),
                ".reg .b32 %w<32>;",
            )
        )
        vm.launch(
            "k",
            1,
            32,
            np.zeros(32, np.uint32),
            pad[0],
            pad[1],
            Cm.ravel().view(np.uint32),
            out.ravel().view(np.uint32),
            32,
        )
        check(f"mma {shape} {kind}", np.allclose(out, A.astype(float) @ B.astype(float) + Cm, rtol=1e-6, atol=1e-6))


def test_a_broken_rule_is_an_error_that_names_its_line():
    a = np.arange(32, dtype=np.uint32)

    def fails(name, body, fragment, **options):
        try:
            run(body, [a], np.uint32, **options)
            check(name, False, "ran clean")
        except PtxError as error:
            check(name, fragment in str(error), str(error))

    fails(
        "unknown opcode names itself and its line",
        "frobnicate.u32 %o, %a;",
        "unsupported instruction at PTX line 12 `frobnicate.u32 %o, %a;`",
    )
    fails("unknown modifier", "add.weird.u32 %o, %a, %a;", "unsupported instruction")
    fails("wide address", "ld.global.u32 %o, [8];", "out of bounds")
    fails("trap", "trap;", "trap executed at PTX line 12")
    fails("livelock", "L: bra L;", "instruction limit", limit=1000)
    fails("deadlock", "setp.lt.u32 %p, %a, 16; @%p bar.warp.sync 0xffff0000;", "not in its own member mask")
    unused = VM(
        source(
            "setp.eq.u32 %p, %a, 99; @%p bra X; mov.u32 %o, %a; bra Y; X: wgmma.fence.sync.aligned; Y:",
            [a],
            np.dtype(np.uint32),
        )
    )
    out = np.zeros(32, np.uint32)
    unused.launch("k", 1, 32, out, a, 32)
    _total, missed = unused.coverage("k")
    check(
        "unsupported but not reached",
        (out == a).all() and len(unused.unsupported()) == 1 and len(missed) == 1 and "wgmma" in missed[0],
    )
    locked = a.copy()
    locked.flags.writeable = False
    vm = VM(source("st.global.u32 [%x0], 1; mov.u32 %o, 0;", [a], np.dtype(np.uint32)))
    try:
        vm.launch("k", 1, 32, out, locked, 32)
        check("read-only array", False)
    except PtxError as error:
        check("read-only array", "read-only" in str(error))
    space = np.zeros(128, np.uint32)
    aligned = space[-(space.ctypes.data // 4) % 8 :][:64]  # starts at a 32-byte sector
    vm = VM(source("mov.u32 %o, %a;", [a], np.dtype(np.uint32)))
    for shift, sectors in ((0, 4), (1, 5)):
        st = vm.launch("k", 1, 32, aligned[:32], aligned[shift : shift + 32], 32)
        check(
            f"sectors at offset {shift}",
            st["global_requests"] == 2 and st["global_sectors"] == 4 + sectors and st["global_ideal_sectors"] == 8,
        )
    body = "mov.u32 %t3, sh; mad.lo.u32 %t3, %a, {}, %t3; st.shared.u32 [%t3], %a; mov.u32 %o, 0;"
    for stride, cycles in ((4, 1), (8, 2), (128, 32), (132, 1)):
        vm = VM(source(body.format(stride), [a], np.dtype(np.uint32), ".shared .align 4 .b8 sh[4352];"))
        check(f"bank conflicts at stride {stride}", vm.launch("k", 1, 32, out, a, 32)["shared_cycles"] == cycles)
