//! The Python side: argument handling only. The work is done in [`base32`].

mod base32;

/// The compiled part of `crockford`; import that instead.
#[pyo3::pymodule]
mod _native {
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    use crate::base32;

    /// Write a number (0 to 2**128 - 1) in Base32.
    ///
    /// `check` appends a check symbol; `group` puts a hyphen after every so
    /// many symbols, counted from the right; `width` pads with zeros.
    #[pyfunction]
    #[pyo3(signature = (number, *, width=0, check=false, group=0))]
    fn encode(number: u128, width: u8, check: bool, group: usize) -> String {
        base32::encode(number, width, check, group)
    }

    /// Read a number in Base32.
    ///
    /// Hyphens are skipped, small letters are capital ones, and O, I and L
    /// are the digits they look like. With `check`, the last symbol is a
    /// check symbol; ValueError if it does not match.
    #[pyfunction]
    #[pyo3(signature = (text, *, check=false))]
    fn decode(text: &str, check: bool) -> PyResult<u128> {
        base32::decode(text, check).map_err(|error| PyValueError::new_err(error.to_string()))
    }
}
