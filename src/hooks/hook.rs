//! The hooks of PEP 517 and PEP 660.

use std::path::{Path, PathBuf};

/// A hook and what it takes. The names are PEP 517's and PEP 660's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hook {
    GetRequiresForBuildWheel,
    GetRequiresForBuildSdist,
    GetRequiresForBuildEditable,
    PrepareMetadataForBuildWheel { metadata_directory: PathBuf },
    BuildWheel { wheel_directory: PathBuf, metadata_directory: Option<PathBuf> },
    BuildSdist { sdist_directory: PathBuf },
    BuildEditable { wheel_directory: PathBuf, metadata_directory: Option<PathBuf> },
}

impl Hook {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::GetRequiresForBuildWheel => "get_requires_for_build_wheel",
            Self::GetRequiresForBuildSdist => "get_requires_for_build_sdist",
            Self::GetRequiresForBuildEditable => "get_requires_for_build_editable",
            Self::PrepareMetadataForBuildWheel { .. } => "prepare_metadata_for_build_wheel",
            Self::BuildWheel { .. } => "build_wheel",
            Self::BuildSdist { .. } => "build_sdist",
            Self::BuildEditable { .. } => "build_editable",
        }
    }

    /// Where it puts what it makes; `None` for hooks that make nothing.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::PrepareMetadataForBuildWheel { metadata_directory: directory }
            | Self::BuildWheel { wheel_directory: directory, .. }
            | Self::BuildSdist { sdist_directory: directory }
            | Self::BuildEditable { wheel_directory: directory, .. } => Some(directory),
            Self::GetRequiresForBuildWheel
            | Self::GetRequiresForBuildSdist
            | Self::GetRequiresForBuildEditable => None,
        }
    }

    /// The same hook, to put what it makes elsewhere.
    #[must_use]
    pub(crate) fn with_directory(mut self, elsewhere: &Path) -> Self {
        match &mut self {
            Self::PrepareMetadataForBuildWheel { metadata_directory: directory }
            | Self::BuildWheel { wheel_directory: directory, .. }
            | Self::BuildSdist { sdist_directory: directory }
            | Self::BuildEditable { wheel_directory: directory, .. } => {
                *directory = elsewhere.to_path_buf();
            }
            Self::GetRequiresForBuildWheel
            | Self::GetRequiresForBuildSdist
            | Self::GetRequiresForBuildEditable => {}
        }
        self
    }

    /// The values that hookd asks for, in its order.
    pub(super) fn values(&self, config_settings: &str) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let settings = ("config_settings", config_settings.to_owned());
        match self {
            Self::GetRequiresForBuildWheel
            | Self::GetRequiresForBuildSdist
            | Self::GetRequiresForBuildEditable => vec![settings],
            Self::PrepareMetadataForBuildWheel { metadata_directory } => {
                vec![("metadata_directory", path(metadata_directory)), settings]
            }
            Self::BuildWheel { wheel_directory, metadata_directory }
            | Self::BuildEditable { wheel_directory, metadata_directory } => vec![
                ("wheel_directory", path(wheel_directory)),
                settings,
                ("metadata_directory", metadata_directory.as_deref().map(path).unwrap_or_default()),
            ],
            Self::BuildSdist { sdist_directory } => {
                vec![("sdist_directory", path(sdist_directory)), settings]
            }
        }
    }
}
