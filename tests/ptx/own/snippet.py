"""Runs one PTX snippet over arrays.

Thread i gets element i of each input in %a, %b, %c, %d and leaves a result in %o.
"""

import numpy as np
from vm import VM

_BITS = {1: "b16", 2: "b16", 4: "b32", 8: "b64"}  # an 8-bit value sits in a 16-bit register


def source(body, inputs, out, extra="", target="sm_80"):
    names = "abcd"
    lines = [
        ".version 8.6",
        f".target {target}",
        ".address_size 64",
        ".visible .entry k(.param .u64 out, "
        + "".join(f".param .u64 in{i}, " for i in range(len(inputs)))
        + ".param .u32 n) {",
        ".reg .pred %p, %q, %end; .reg .b16 %h<8>; .reg .b32 %t<16>; .reg .b64 %x<16>;",
        f".reg .{_BITS[out.itemsize]} %o;",
        extra,
    ]
    for i, array in enumerate(inputs):
        lines.append(f".reg .{_BITS[array.dtype.itemsize]} %{names[i]};")
    lines += [
        "mov.u32 %t0, %tid.x; mov.u32 %t1, %ctaid.x; mov.u32 %t2, %ntid.x; mad.lo.s32 %t0, %t1, %t2, %t0;",
        "ld.param.u32 %t1, [n]; setp.ge.u32 %end, %t0, %t1; @%end ret;",
    ]
    for i, array in enumerate(inputs):
        size = array.dtype.itemsize
        lines.append(
            f"ld.param.u64 %x0, [in{i}]; mul.wide.u32 %x1, %t0, {size}; add.s64 %x0, %x0, %x1; "
            f"ld.global.u{8 * size} %{names[i]}, [%x0];"
        )
    lines += [
        body,
        f"ld.param.u64 %x0, [out]; mul.wide.u32 %x1, %t0, {out.itemsize}; add.s64 %x0, %x0, %x1;",
        f"st.global.b{8 * out.itemsize} [%x0], %o;",
        "ret; }",
    ]
    return "\n".join(lines) + "\n"


def run(body, inputs, out, extra="", block=128, **options):
    """Result array of dtype `out` for a snippet. The number of elements need not be a multiple of the block."""
    out = np.dtype(out)
    inputs = [np.ascontiguousarray(x) for x in inputs]
    n = len(inputs[0]) if inputs else 32
    vm = VM(source(body, inputs, out, extra))
    vm.options(**options)
    result = np.zeros(n, out)
    vm.launch("k", (n + block - 1) // block, block, result, *inputs, n)
    return result
