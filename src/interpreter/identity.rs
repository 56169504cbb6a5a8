//! What makes two Pythons the same, and the short names made of it.

use serde::{Deserialize, Serialize};

/// Everything about an interpreter that can change what is built with it.
///
/// Field order is part of the environment fingerprint's canonical JSON; see
/// [`crate::build_env::fingerprint`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// `sys.implementation.name`: `cpython`, `pypy`.
    pub implementation: String,
    /// The language version, `3.12.1` or `3.14.0rc1`.
    pub version: String,
    /// The implementation's own version; `7.3.11` for PyPy.
    pub implementation_version: String,
    /// `sys.implementation.cache_tag`, `cpython-312`.
    pub cache_tag: Option<String>,
    pub soabi: Option<String>,
    /// The suffix of version-specific extension modules, `.cpython-312-x86_64-linux-gnu.so`.
    pub ext_suffix: Option<String>,
    pub abiflags: String,
    pub free_threaded: bool,
    pub debug: bool,
    /// `sysconfig.get_platform()`, `linux-x86_64`.
    pub platform: String,
    pub pointer_width: u8,
    pub base_prefix: String,
    /// Real path of the executable below all virtual environments.
    pub base_executable: String,
    pub library_directory: Option<String>,
}

impl Identity {
    /// Major and minor version. `(0, 0)` for a version that is no version, which matches nothing.
    pub(crate) fn major_minor(&self) -> (u32, u32) {
        let mut parts = self.version.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// The first half of the ABI tag: `cp312`, `cp313t`, `cp312d`, `pp310`.
    pub(crate) fn abi(&self) -> String {
        let (major, minor) = self.major_minor();
        let prefix = match self.implementation.as_str() {
            "cpython" => "cp",
            "pypy" => "pp",
            "graalpy" => "graalpy",
            other => other,
        };
        let threads = if self.free_threaded { "t" } else { "" };
        let debug = if self.debug { "d" } else { "" };
        format!("{prefix}{major}{minor}{threads}{debug}")
    }

    /// The ABI tag: `cp312-linux-x86_64`. It distinguishes musl from glibc, whose `get_platform()`
    /// is the same.
    pub(crate) fn abi_tag(&self) -> String {
        let musl = self
            .soabi
            .as_deref()
            .or(self.ext_suffix.as_deref())
            .is_some_and(|tag| tag.contains("musl"));
        let platform = if musl {
            self.platform.replacen("linux", "musllinux", 1)
        } else {
            self.platform.clone()
        };
        format!("{}-{platform}", self.abi())
    }

    /// `CPython 3.12.1`, `PyPy 3.10.14`, `CPython 3.13.0 (free-threaded)`.
    pub(crate) fn display(&self) -> String {
        let name = match self.implementation.as_str() {
            "cpython" => "CPython",
            "pypy" => "PyPy",
            "graalpy" => "GraalPy",
            other => other,
        };
        let threads = if self.free_threaded { " (free-threaded)" } else { "" };
        format!("{name} {}{threads}", self.version)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn cpython(version: &str) -> Identity {
        Identity {
            implementation: "cpython".into(),
            version: version.into(),
            implementation_version: version.into(),
            cache_tag: None,
            soabi: Some("cpython-312-x86_64-linux-gnu".into()),
            ext_suffix: Some(".cpython-312-x86_64-linux-gnu.so".into()),
            abiflags: String::new(),
            free_threaded: false,
            debug: false,
            platform: "linux-x86_64".into(),
            pointer_width: 64,
            base_prefix: "/usr".into(),
            base_executable: "/usr/bin/python3".into(),
            library_directory: None,
        }
    }

    #[test]
    fn abi_tags_keep_apart_what_must_not_mix() {
        let gil = cpython("3.13.0");
        assert_eq!(gil.abi_tag(), "cp313-linux-x86_64");
        assert_eq!(
            Identity { free_threaded: true, ..gil.clone() }.abi_tag(),
            "cp313t-linux-x86_64"
        );
        assert_eq!(Identity { debug: true, ..gil.clone() }.abi_tag(), "cp313d-linux-x86_64");
        let pypy =
            Identity { implementation: "pypy".into(), version: "3.10.14".into(), ..gil.clone() };
        assert_eq!(pypy.abi_tag(), "pp310-linux-x86_64");
        let musl = Identity { soabi: Some("cpython-313-x86_64-linux-musl".into()), ..gil };
        assert_eq!(musl.abi_tag(), "cp313-musllinux-x86_64");
    }
}
