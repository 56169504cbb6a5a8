//! Random tokens.

/// 128 bits from the operating system, as 32 hexadecimal digits.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let tokens: BTreeSet<String> = (0..1000).map(|_| random()).collect();
        assert_eq!(tokens.len(), 1000);
        let is_whole = |token: &String| {
            token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        assert!(tokens.iter().all(is_whole));
    }
}
