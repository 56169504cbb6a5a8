//! What a machine lacks, so that a test cannot run on it.

/// Fails tests that would be skipped: set it where everything must be tested.
const REQUIRE_ALL: &str = "PYENV_BUILD_TEST_REQUIRE_ALL";

/// Says what is not tested, and why.
#[expect(clippy::print_stderr, reason = "nothing is skipped in silence")]
pub(crate) fn not_tested(what: &str, because: impl std::fmt::Display) {
    assert!(std::env::var_os(REQUIRE_ALL).is_none(), "{REQUIRE_ALL} is set, and {because}: {what}");
    eprintln!("NOT TESTED: {what}: {because}");
}
