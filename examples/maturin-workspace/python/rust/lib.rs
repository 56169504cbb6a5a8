//! `minor_units._native`: the glue between Python and the `minor-units` crate.

/// The compiled part of `minor_units`; import that instead.
#[pyo3::pymodule]
mod _native {
    use pyo3::exceptions::{PyLookupError, PyOverflowError, PyValueError};
    use pyo3::prelude::*;

    use minor_units::Error;

    fn raise(error: Error) -> PyErr {
        let message = error.to_string();
        match error {
            Error::UnknownCurrency(_) => PyLookupError::new_err(message),
            Error::OutOfRange => PyOverflowError::new_err(message),
            Error::Malformed(_) | Error::TooPrecise { .. } | Error::NoShares => {
                PyValueError::new_err(message)
            }
        }
    }

    /// Read a decimal number as a whole number of the currency's minor unit.
    #[pyfunction]
    fn parse(text: &str, currency: &str) -> PyResult<i64> {
        minor_units::parse(text, currency).map_err(raise)
    }

    /// Write a whole number of the minor unit as a decimal number.
    #[pyfunction]
    fn format(minor: i64, currency: &str) -> PyResult<String> {
        minor_units::format(minor, currency).map_err(raise)
    }

    /// Share an amount in proportion to the weights, without losing a cent.
    #[pyfunction]
    fn split(minor: i64, weights: Vec<u32>) -> PyResult<Vec<i64>> {
        minor_units::split(minor, &weights).map_err(raise)
    }

    /// The number of decimals of the currency's minor unit.
    #[pyfunction]
    fn digits(currency: &str) -> PyResult<u8> {
        Ok(minor_units::currency(currency).map_err(raise)?.digits)
    }
}
