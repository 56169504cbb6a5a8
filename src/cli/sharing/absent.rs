//! Without the feature `remote` there is no store to share with.

use super::{Shared, SharingArgs};
use crate::build_env::BuildEnv;
use crate::cli::failure::{Result, UsageError};
use crate::report::{Crates, SharedStoreReport};
use crate::ui::Ui;

pub(in crate::cli) enum Sharing {}

impl Sharing {
    pub(in crate::cli) fn begin(
        args: &SharingArgs,
        shared: &Shared<'_>,
        _ui: &Ui,
    ) -> Result<Option<Self>> {
        match args.url(shared.project) {
            None => Ok(None),
            Some(_) => Err(UsageError {
                message: "this program was built without the feature `remote`, which `--store` \
                    needs"
                    .to_owned(),
                hint: Some("install it with `--features remote`".to_owned()),
            }
            .into()),
        }
    }

    pub(in crate::cli) fn end(
        self,
        _env: Option<&BuildEnv>,
        _crates: Option<&Crates>,
    ) -> SharedStoreReport {
        match self {}
    }
}
