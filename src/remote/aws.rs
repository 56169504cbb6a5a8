//! Profiles of AWS: `~/.aws/config` and `~/.aws/credentials`.
//!
//! Static keys, region and endpoint, as every tool of AWS's reads them. A profile that names another
//! way to credentials (SSO, `credential_process`, a role) is an error that names the setting: what it
//! stands for can be exported, `aws configure export-credentials --format env`.
//!
//! Source: <https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html>

use std::path::PathBuf;

use configparser::ini::Ini;

use crate::env_vars;

/// Settings that stand for credentials which are somewhere else.
const OTHER_WAYS: &[&str] = &["sso_session", "sso_start_url", "credential_process", "role_arn"];

/// What a profile says. Absent: it does not say it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub session_token: Option<String>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
}

/// The profile that `AWS_PROFILE` names, or the default one. Error: the user named one that is not
/// there, or that needs more than we can do.
pub(super) fn profile() -> Result<Profile, String> {
    let file = |variable: &str, name: &str| {
        let path = env_vars::get_os(variable)
            .map(PathBuf::from)
            .or_else(|| Some(env_vars::home()?.join(".aws").join(name)));
        path.and_then(|path| fs_err::read_to_string(path).ok()).unwrap_or_default()
    };
    let named = env_vars::get("AWS_PROFILE").or_else(|| env_vars::get("AWS_DEFAULT_PROFILE"));
    read(
        named.as_deref(),
        &file("AWS_CONFIG_FILE", "config"),
        &file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    )
}

fn read(named: Option<&str>, config: &str, credentials: &str) -> Result<Profile, String> {
    let parse = |text: &str, what: &str| {
        let mut ini = Ini::new_cs();
        ini.set_multiline(true);
        ini.read(text.to_owned())
            .map(|_sections| ini)
            .map_err(|message| format!("AWS's {what} file: {message}"))
    };
    let (config, credentials) = (parse(config, "config")?, parse(credentials, "credentials")?);
    let name = named.unwrap_or("default");
    // In `config`, all but the default one are called `profile NAME`.
    let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
    let has = |ini: &Ini, section: &str| ini.sections().iter().any(|one| one == section);
    if named.is_some() && !has(&config, &in_config) && !has(&credentials, name) {
        return Err(format!("there is no AWS profile `{name}`"));
    }
    let get = |key: &str| {
        credentials.get(name, key).or_else(|| config.get(&in_config, key)).filter(|v| !v.is_empty())
    };
    let profile = Profile {
        access_key_id: get("aws_access_key_id"),
        secret_access_key: get("aws_secret_access_key"),
        session_token: get("aws_session_token"),
        region: get("region"),
        endpoint: get("endpoint_url"),
    };
    if named.is_some()
        && profile.access_key_id.is_none()
        && let Some(way) = OTHER_WAYS.iter().find(|key| get(key).is_some())
    {
        return Err(format!(
            "the AWS profile `{name}` has `{way}`, which is not supported: export its credentials \
                (`aws configure export-credentials --profile {name} --format env`)"
        ));
    }
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = eu-central-1\n\n[profile ci]\nregion = us-west-2\nendpoint_url = http://minio:9000\n\
        s3 =\n  addressing_style = path\n\n[profile people]\nsso_session = x\nregion = a\n";
    const CREDENTIALS: &str = "[default]\naws_access_key_id = AK\naws_secret_access_key = a/b+c=\n[ci]\naws_access_key_id=CI\naws_secret_access_key=s\naws_session_token=t\n";

    #[test]
    fn as_the_tools_of_aws_read_them() {
        let default = read(None, CONFIG, CREDENTIALS).unwrap();
        assert_eq!(default.secret_access_key.as_deref(), Some("a/b+c="));
        assert_eq!(default.region.as_deref(), Some("eu-central-1"));
        let ci = read(Some("ci"), CONFIG, CREDENTIALS).unwrap();
        assert_eq!(
            (ci.access_key_id.as_deref(), ci.session_token.as_deref(), ci.endpoint.as_deref()),
            (Some("CI"), Some("t"), Some("http://minio:9000"))
        );
        assert_eq!(read(None, "", "").unwrap(), Profile::default());
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        let error = read(Some("people"), CONFIG, CREDENTIALS).unwrap_err();
        assert!(error.contains("`sso_session`") && error.contains("export-credentials"), "{error}");
        assert_eq!(
            read(Some("nobody"), CONFIG, CREDENTIALS).unwrap_err(),
            "there is no AWS profile `nobody`"
        );
    }
}
