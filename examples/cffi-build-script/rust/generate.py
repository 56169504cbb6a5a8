"""Writes the C source of `bessel._native` to the path in the first argument; prints where Python's headers and libraries are."""

import contextlib
import os
import sys
import sysconfig

from cffi import FFI

FUNCTIONS = """
double bessel_j(int32_t order, double x);
double bessel_y(int32_t order, double x);
void bessel_j_each(int32_t order, const double *x, double *results, size_t length);
"""

ffi = FFI()
ffi.cdef(FUNCTIONS)
ffi.set_source("bessel._native", "#include <stddef.h>\n#include <stdint.h>\n" + FUNCTIONS)
with contextlib.redirect_stdout(sys.stderr):  # cffi says what it does
    ffi.emit_c_code(sys.argv[1])
print(sysconfig.get_path("include"))
print(os.path.join(sys.base_prefix, "libs"))
