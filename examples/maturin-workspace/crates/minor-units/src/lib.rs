//! Amounts of money as whole numbers of the minor unit (cents), so that no
//! sum is ever rounded. Pure Rust: Python is another crate's business.

#![forbid(unsafe_code)]

use std::fmt;

use currency_table::Currency;

/// Why an amount was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The code is not in the table.
    UnknownCurrency(String),
    /// The text is not a plain decimal number.
    Malformed(String),
    /// The text has more decimals than the currency.
    TooPrecise {
        text: String,
        currency: &'static Currency,
    },
    /// The amount does not fit in 64 bits.
    OutOfRange,
    /// There is nothing to share an amount among.
    NoShares,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCurrency(code) => write!(f, "unknown currency {code:?}"),
            Self::Malformed(text) => write!(f, "{text:?} is not a decimal number"),
            Self::TooPrecise { text, currency } => write!(
                f,
                "{text:?} has more than the {} decimals of {}",
                currency.digits, currency.code
            ),
            Self::OutOfRange => f.write_str("the amount does not fit in 64 bits"),
            Self::NoShares => f.write_str("the weights must not be empty, nor all zero"),
        }
    }
}

impl std::error::Error for Error {}

/// The currency with this code.
pub fn currency(code: &str) -> Result<&'static Currency, Error> {
    currency_table::find(code).ok_or_else(|| Error::UnknownCurrency(code.to_owned()))
}

/// Reads `"-12.3"` as -1230 when `code` has two decimals.
pub fn parse(text: &str, code: &str) -> Result<i64, Error> {
    let currency = currency(code)?;
    let malformed = || Error::Malformed(text.to_owned());

    let (negative, number) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, decimals) = match number.split_once('.') {
        Some((_, "")) => return Err(malformed()),
        Some(parts) => parts,
        None => (number, ""),
    };
    if whole.is_empty() || !(whole.bytes().chain(decimals.bytes())).all(|b| b.is_ascii_digit()) {
        return Err(malformed());
    }
    let Some(missing) = usize::from(currency.digits).checked_sub(decimals.len()) else {
        return Err(Error::TooPrecise {
            text: text.to_owned(),
            currency,
        });
    };

    let mut minor: i64 = 0;
    let zeros = std::iter::repeat_n(b'0', missing);
    for digit in whole.bytes().chain(decimals.bytes()).chain(zeros) {
        let digit = i64::from(digit - b'0');
        // Negative throughout, for i64::MIN has no positive counterpart.
        minor = minor
            .checked_mul(10)
            .and_then(|m| m.checked_sub(digit))
            .ok_or(Error::OutOfRange)?;
    }
    if negative {
        Ok(minor)
    } else {
        minor.checked_neg().ok_or(Error::OutOfRange)
    }
}

/// The opposite of [`parse`]: all decimals, no grouping, no symbol.
pub fn format(minor: i64, code: &str) -> Result<String, Error> {
    let digits = usize::from(currency(code)?.digits);
    let sign = if minor < 0 { "-" } else { "" };
    let number = format!("{:0width$}", minor.unsigned_abs(), width = digits + 1);
    let (whole, decimals) = number.split_at(number.len() - digits);
    let point = if digits > 0 { "." } else { "" };
    Ok(format!("{sign}{whole}{point}{decimals}"))
}

/// Shares `minor` in proportion to `weights`, without losing a cent: what
/// rounding leaves over goes to the largest remainders, the first of equals
/// first.
pub fn split(minor: i64, weights: &[u32]) -> Result<Vec<i64>, Error> {
    let total: i128 = weights.iter().copied().map(i128::from).sum();
    if total == 0 {
        return Err(Error::NoShares);
    }
    let amount = i128::from(minor.unsigned_abs());

    let mut shares: Vec<i128> = Vec::with_capacity(weights.len());
    let mut by_remainder: Vec<(i128, usize)> = Vec::with_capacity(weights.len());
    for (index, &weight) in weights.iter().enumerate() {
        let product = amount * i128::from(weight);
        shares.push(product / total);
        by_remainder.push((product % total, index));
    }
    let left = amount - shares.iter().sum::<i128>();
    by_remainder.sort_by_key(|&(remainder, _)| std::cmp::Reverse(remainder));
    for &(_, index) in by_remainder.iter().zip(0..left).map(|(entry, _)| entry) {
        shares[index] += 1;
    }

    let sign = i128::from(minor.signum());
    Ok(shares
        .into_iter()
        .map(|share| i64::try_from(sign * share).expect("no share exceeds the amount"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (text, code, minor) in [
            ("12.34", "EUR", 1234),
            ("-0.05", "EUR", -5),
            ("0.00", "USD", 0),
            ("1500", "JPY", 1500),
            ("1.234", "KWD", 1234),
            ("-92233720368547758.08", "EUR", i64::MIN),
            ("92233720368547758.07", "EUR", i64::MAX),
        ] {
            assert_eq!(parse(text, code), Ok(minor), "{text} {code}");
            assert_eq!(format(minor, code).as_deref(), Ok(text), "{minor} {code}");
        }
        assert_eq!(parse("7", "EUR"), Ok(700));
        assert_eq!(parse("7.5", "EUR"), Ok(750));
    }

    #[test]
    fn refused() {
        for text in [
            "", "-", ".", "1.", ".5", "1,5", "1e3", " 1", "+1", "--1", "1.2.3", "१",
        ] {
            assert_eq!(parse(text, "EUR"), Err(Error::Malformed(text.into())));
        }
        assert_eq!(
            parse("1.005", "EUR").unwrap_err().to_string(),
            "\"1.005\" has more than the 2 decimals of EUR"
        );
        assert!(matches!(parse("1.0", "JPY"), Err(Error::TooPrecise { .. })));
        assert_eq!(parse("92233720368547758.08", "EUR"), Err(Error::OutOfRange));
        assert_eq!(
            parse("1", "eur"),
            Err(Error::UnknownCurrency("eur".to_owned()))
        );
    }

    #[test]
    fn no_cent_is_lost() {
        assert_eq!(split(100, &[1, 1, 1]), Ok(vec![34, 33, 33]));
        assert_eq!(split(-100, &[1, 1, 1]), Ok(vec![-34, -33, -33]));
        assert_eq!(split(5, &[7, 3]), Ok(vec![4, 1]));
        assert_eq!(split(2, &[0, 1]), Ok(vec![0, 2]));
        assert_eq!(split(i64::MIN, &[1]), Ok(vec![i64::MIN]));
        assert_eq!(split(1, &[0, 0]), Err(Error::NoShares));
        assert_eq!(split(1, &[]), Err(Error::NoShares));
        for minor in [i64::MIN, -7, 0, 1, 999, i64::MAX] {
            let shares = split(minor, &[3, 0, u32::MAX, 11]).unwrap();
            assert_eq!(shares.iter().sum::<i64>(), minor);
        }
    }
}
