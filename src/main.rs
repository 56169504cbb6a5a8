//! Parses arguments, runs the command, turns its outcome into an exit code. All else is in the
//! library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(pyenv_build::cli::main(std::env::args_os().collect()))
}
