//! Real input: packages from `PyPI` and packages like those people have, built by the real uv, pip,
//! cargo and git.
//!
//! The other frontends are the judges: `python -m build` and `uv build` make the same wheels, from
//! the same trees. Everything happens in temporary directories, which a failing test leaves behind
//! and names. What the tests need and the machine may lack (`build`, `uv`) they install into the
//! target directory, once. The network is needed.
//!
//! The interpreter is `PYENV_BUILD_TEST_PYTHON`, else `python3` on PATH.

#![expect(
    clippy::disallowed_methods,
    reason = "the doors belong to the program; its tests look at it from outside"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed, and the functions that tests share count as tests"
)]

mod direct_requirements;
mod examples;
mod from_pypi;
mod interpreters;
mod machine;
mod ours;
mod package;
mod projects;
mod sccache;
mod schema;
mod sdists;
#[cfg(all(feature = "remote", target_os = "linux"))]
mod shared;
#[path = "../common/skip.rs"]
mod skip;
mod wheels;
