//! Why a call that succeeded is not recorded.

use std::path::PathBuf;

/// Begins the message of an [`Unrecorded::Store`].
pub const STORE_ERROR: &str = "the store could not be written";

/// Why a call that succeeded is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unrecorded {
    #[error("rustc's dep-info file is missing or not readable")]
    NoDependencyFile,
    #[error("the linker did not say what it read")]
    SilentLinker,
    #[error("`{}` was written to while rustc ran", .0.display())]
    Changed(PathBuf),
    #[error("the assembler may have read a file that rustc does not name")]
    Assembler,
    #[error("a source names a variable that a macro may have read without rustc's knowledge")]
    Variable,
    #[error("`{}` was read, but no longer exists", .0.display())]
    Gone(PathBuf),
    #[error("a native library may be named by a path")]
    NamedLibrary,
    #[error("`{}` is a procedural macro that no extern names", .0.display())]
    FoundMacro(PathBuf),
    #[error("the native libraries in `{}` are too many to compare", .0.display())]
    NativeLibraries(PathBuf),
    #[error("no output of `--emit={0}` was found")]
    NoOutput(String),
    #[error("`{}` is not a file that can be kept", .0.display())]
    StrangeOutput(PathBuf),
    #[error("its messages are not text")]
    Messages,
    #[error("{STORE_ERROR}: {0}")]
    Store(String),
}
