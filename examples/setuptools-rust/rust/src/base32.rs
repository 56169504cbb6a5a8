//! Crockford's Base32. Knows nothing of Python, so `cargo test` needs no
//! interpreter at run time.

use std::fmt;

/// The 32 digits, then the five symbols that only a check symbol can be.
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    Empty,
    Symbol(char),
    Overflow,
    Check { expected: char, found: char },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there are no symbols"),
            Self::Symbol(symbol) => write!(f, "{symbol:?} is not a symbol"),
            Self::Overflow => f.write_str("the number does not fit in 128 bits"),
            Self::Check { expected, found } => {
                write!(
                    f,
                    "the check symbol is {found:?}, it should be {expected:?}"
                )
            }
        }
    }
}

fn check_symbol(number: u128) -> char {
    char::from(SYMBOLS[(number % 37) as usize])
}

/// `number` with `width` symbols at least, a hyphen before every `group`
/// symbols from the right (0: none), and maybe a check symbol.
pub fn encode(mut number: u128, width: u8, check: bool, group: usize) -> String {
    let last = check.then(|| check_symbol(number));

    // From right to left.
    let mut symbols: Vec<char> = last.into_iter().collect();
    let width = usize::from(width).max(1) + symbols.len();
    while number > 0 || symbols.len() < width {
        symbols.push(char::from(SYMBOLS[(number % 32) as usize]));
        number /= 32;
    }

    let mut text = String::with_capacity(symbols.len() * 2);
    for (index, symbol) in symbols.iter().enumerate().rev() {
        text.push(*symbol);
        if group > 0 && index > 0 && index % group == 0 {
            text.push('-');
        }
    }
    text
}

/// The number that `text` stands for.
pub fn decode(text: &str, check: bool) -> Result<u128, Error> {
    let mut symbols: Vec<char> = text
        .chars()
        .filter(|&c| c != '-')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let last = if check { symbols.pop() } else { None };
    if symbols.is_empty() {
        return Err(Error::Empty);
    }

    let mut number: u128 = 0;
    for symbol in symbols {
        let digit = digit(symbol).ok_or(Error::Symbol(symbol))?;
        number = number
            .checked_mul(32)
            .and_then(|n| n.checked_add(digit))
            .ok_or(Error::Overflow)?;
    }

    if let Some(found) = last {
        let expected = check_symbol(number);
        if unambiguous(found) != expected {
            return Err(Error::Check { expected, found });
        }
    }
    Ok(number)
}

/// The digit that a capital letter which is no symbol looks like.
fn unambiguous(symbol: char) -> char {
    match symbol {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    }
}

fn digit(symbol: char) -> Option<u128> {
    SYMBOLS[..32]
        .iter()
        .position(|&s| char::from(s) == unambiguous(symbol))
        .map(|index| index as u128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for number in [0, 1, 31, 32, 1234, 1_234_567, u64::MAX.into(), u128::MAX] {
            for check in [false, true] {
                for group in [0, 1, 4] {
                    let text = encode(number, 0, check, group);
                    assert_eq!(decode(&text, check), Ok(number), "{text}");
                }
            }
        }
    }

    #[test]
    fn written() {
        assert_eq!(encode(0, 0, false, 0), "0");
        assert_eq!(encode(0, 0, true, 0), "00");
        assert_eq!(encode(1234, 0, false, 0), "16J");
        assert_eq!(encode(1234, 0, true, 0), "16JD");
        assert_eq!(encode(1234, 8, false, 4), "0000-016J");
        assert_eq!(encode(32, 0, true, 0), "10*");
        assert_eq!(encode(36, 0, true, 0), "14U");
        assert_eq!(encode(u128::MAX, 0, false, 0), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn read_as_people_type() {
        assert_eq!(decode("16j", false), Ok(1234));
        assert_eq!(decode("-i6-J-", false), Ok(1234));
        assert_eq!(decode("l6jd", true), Ok(1234));
        assert_eq!(decode("oO", false), Ok(0));
        assert_eq!(decode("14u", true), Ok(36));
        // The check symbol of 1 is 1, whatever it was mistaken for.
        assert_eq!(decode("1I", true), Ok(1));
    }

    #[test]
    fn refused() {
        assert_eq!(decode("", false), Err(Error::Empty));
        assert_eq!(decode("--", false), Err(Error::Empty));
        assert_eq!(decode("0", true), Err(Error::Empty));
        assert_eq!(decode("1U", false), Err(Error::Symbol('U')));
        assert_eq!(decode("1 2", false), Err(Error::Symbol(' ')));
        assert_eq!(
            decode("80000000000000000000000000", false),
            Err(Error::Overflow)
        );
        assert_eq!(
            decode("16JE", true),
            Err(Error::Check {
                expected: 'D',
                found: 'E'
            })
        );
    }

    #[test]
    fn a_check_symbol_finds_every_single_mistake() {
        let text = encode(987_654_321, 0, true, 0);
        for index in 0..text.len() {
            for &symbol in SYMBOLS {
                let mut wrong = text.clone().into_bytes();
                wrong[index] = symbol;
                let wrong = String::from_utf8(wrong).unwrap();
                assert_eq!(decode(&wrong, true).is_ok(), wrong == text, "{wrong}");
            }
        }
    }
}
