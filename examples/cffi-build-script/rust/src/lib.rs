//! Bessel functions with C's calling convention, and the entry of the Python module that cffi makes of them.

use std::ffi::c_void;

unsafe extern "C" {
    /// In the C that build.rs has cffi write.
    safe fn bessel_init() -> *mut c_void;
}

/// What Python calls when it imports `bessel._native`.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit__native() -> *mut c_void {
    bessel_init()
}

/// The Bessel function of the first kind.
#[unsafe(no_mangle)]
pub extern "C" fn bessel_j(order: i32, x: f64) -> f64 {
    libm::jn(order, x)
}

/// The Bessel function of the second kind.
#[unsafe(no_mangle)]
pub extern "C" fn bessel_y(order: i32, x: f64) -> f64 {
    libm::yn(order, x)
}

/// [`bessel_j`] of many numbers.
///
/// # Safety
///
/// `x` points to `length` numbers, `results` to room for as many, and they do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bessel_j_each(order: i32, x: *const f64, results: *mut f64, length: usize) {
    // SAFETY: as the caller promises. Without numbers the pointers may be null, which slices may not.
    for index in 0..length {
        unsafe { *results.add(index) = libm::jn(order, *x.add(index)) };
    }
}
