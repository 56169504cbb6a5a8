//! Has the build environment's cffi write the C half of `bessel._native`, and compiles it.

use std::env;
use std::path::PathBuf;

use pyenv_build::build_script::{Error, Python};

const GENERATE: &str = include_str!("generate.py");

fn main() -> Result<(), Error> {
    println!("cargo::rerun-if-changed=build.rs");
    let source = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("native.c");

    // Says to cargo when to run this again, and to people what is missing.
    let directories = Python::find()?.run(GENERATE, [&source])?;

    let (include, libraries) = directories.split_once('\n').expect("it prints two lines");
    if cfg!(windows) {
        println!("cargo::rustc-link-search=native={}", libraries.trim());
    }
    cc::Build::new()
        .file(source)
        .include(include.trim())
        .warnings(false)
        // Only what Rust defines is exported from the library: lib.rs has the name that Python looks for, and calls this.
        .define("PyInit__native", "bessel_init")
        .compile("bessel_native");
    Ok(())
}
