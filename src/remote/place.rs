//! From a URL to an object store, with the credentials that its cloud's own tools would find.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, HeaderMap, HeaderValue, ObjectStore, RetryConfig,
};
use url::Url;

use super::aws;
use crate::env_vars;
use crate::process::without_credentials;

/// For a connection; and for the next bytes of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);

/// Why a URL names no store. The user's mistake, unlike everything that happens later.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{url}` is not a URL of a store: {reason}")]
    Url { url: String, reason: String },
    #[error("the settings for `{url}` are not valid: {reason}")]
    Settings { url: String, reason: String },
}

impl Error {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some(
                "write `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX`, \
                    `https://HOST/PATH` (WebDAV) or `file:///DIRECTORY`"
                    .to_owned(),
            ),
            Self::Settings { .. } => None,
        }
    }
}

/// A store that is not yet asked anything.
#[derive(Debug)]
pub(crate) struct Place {
    pub store: Arc<dyn ObjectStore>,
    /// What all names begin with.
    pub prefix: Path,
    /// The URL as it may be shown.
    pub shown: String,
    /// It is `WebDAV`, where those who make the same collection at the same time fail.
    pub has_collections: bool,
}

impl Place {
    pub(crate) fn at(text: &str) -> Result<Self, Error> {
        // Another part of the program may have chosen the same one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Of a text that is no URL, nobody knows where its credentials are.
        let wrong = |reason: &str| Error::Url {
            url: crate::process::mask_credentials(text),
            reason: reason.to_owned(),
        };
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        if url.query().is_some() || url.fragment().is_some() {
            let shown = text.split(['?', '#']).next().unwrap_or_default();
            let url = crate::process::mask_credentials(shown);
            return Err(Error::Url { url, reason: "it has a query or a fragment".to_owned() });
        }
        let shown = without_credentials(text);
        let invalid = |reason: String| Error::Settings { url: shown.clone(), reason };
        if matches!(url.scheme(), "s3" | "gs" | "az") && url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it has no bucket"));
        }
        let prefix = Path::from_url_path(url.path()).map_err(|error| wrong(&error.to_string()))?;
        let bucket = url.host_str().unwrap_or_default();
        let (store, prefix): (Arc<dyn ObjectStore>, Path) = match url.scheme() {
            "s3" => (Arc::new(s3(bucket).map_err(invalid)?), prefix),
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(bucket)
                    .with_client_options(client(false))
                    .with_retry(retries());
                (Arc::new(builder.build().map_err(|error| invalid(words(&error)))?), prefix)
            }
            "az" => {
                let endpoint = env_vars::get("AZURE_STORAGE_ENDPOINT").unwrap_or_default();
                let builder = MicrosoftAzureBuilder::from_env()
                    .with_container_name(bucket)
                    .with_client_options(client(endpoint.starts_with("http://")))
                    .with_retry(retries());
                (Arc::new(builder.build().map_err(|error| invalid(words(&error)))?), prefix)
            }
            "http" | "https" => {
                let mut options = client(url.scheme() == "http");
                if let Some(authorization) = authorization(&url) {
                    let mut value = HeaderValue::from_str(&authorization).map_err(|_error| {
                        invalid("its credentials are not text that a header can have".to_owned())
                    })?;
                    value.set_sensitive(true);
                    let mut headers = HeaderMap::new();
                    headers.insert("authorization", value);
                    options = options.with_default_headers(headers);
                }
                // The collections of the path may be missing, and are made like all others.
                let mut origin = url.clone();
                origin.set_path("");
                let _ = origin.set_username("").and_then(|()| origin.set_password(None));
                let builder = HttpBuilder::new()
                    .with_url(origin.as_str())
                    .with_client_options(options)
                    .with_retry(retries());
                (Arc::new(builder.build().map_err(|error| invalid(words(&error)))?), prefix)
            }
            "file" => {
                let path = url.to_file_path().map_err(|()| wrong("it is not an absolute path"))?;
                let prefix =
                    Path::from_absolute_path(path).map_err(|error| wrong(&error.to_string()))?;
                (Arc::new(LocalFileSystem::new()), prefix)
            }
            other => return Err(wrong(&format!("`{other}` is not supported"))),
        };
        let has_collections = matches!(url.scheme(), "http" | "https");
        Ok(Self { store, prefix: prefix.join(super::VERSION), shown, has_collections })
    }
}

/// Variables first, then the profile, then what the machine it runs on offers (web identity,
/// container, instance), which `object_store` asks for itself.
fn s3(bucket: &str) -> Result<impl ObjectStore, String> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let has = |name: &str| env_vars::get(name).is_some();
    // As AWS's own tools: keys in variables come before a profile.
    let has_keys = has("AWS_ACCESS_KEY_ID") || has("AWS_WEB_IDENTITY_TOKEN_FILE");
    let profile = if has_keys { aws::Profile::default() } else { aws::profile()? };
    let keys = [
        (AmazonS3ConfigKey::AccessKeyId, profile.access_key_id),
        (AmazonS3ConfigKey::SecretAccessKey, profile.secret_access_key),
        (AmazonS3ConfigKey::Token, profile.session_token),
    ];
    for (key, value) in keys {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(region) = env_vars::get("AWS_REGION")
        .or_else(|| env_vars::get("AWS_DEFAULT_REGION"))
        .or(profile.region)
    {
        builder = builder.with_region(region);
    }
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
        .iter()
        .find_map(|name| env_vars::get(name))
        .or(profile.endpoint);
    let is_plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    builder
        .with_client_options(client(is_plain))
        .with_retry(retries())
        .build()
        .map_err(|error| words(&error))
}

/// The token, or the user and the password of the URL.
fn authorization(url: &Url) -> Option<String> {
    use base64::Engine as _;
    if let Some(token) = env_vars::get(env_vars::STORE_TOKEN) {
        return Some(format!("Bearer {token}"));
    }
    let plain =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let user = Some(plain(url.username())).filter(|user| !user.is_empty());
    let password = url.password().map(plain);
    (user.is_some() || password.is_some()).then(|| {
        let both = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
    })
}

fn client(is_plain: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECT)
        .with_read_timeout(SILENCE)
        // How long all of it may take is the caller's to say.
        .with_timeout_disabled()
}

/// Jitter is built in. `Retry-After` is not read: the pauses are shorter than what it would ask
/// for, and few.
fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(3),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: Duration::from_secs(30),
    }
}

/// An error and its causes in one line, credentials masked.
pub(super) fn words(error: &object_store::Error) -> String {
    let causes =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for text in causes.map(ToString::to_string) {
        // Many say what their cause says.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    // A page for people who look at it.
    let text = parts.join(": ");
    let text = text.split(['<', '{']).next().unwrap_or_default().trim_end_matches([':', ' ']);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    crate::ui::shortened(&crate::process::mask_credentials(&line), 400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_name_no_store_say_what_to_write() {
        for (url, reason) in [
            ("bucket/prefix", "relative URL without a base"),
            ("s3:///prefix", "it has no bucket"),
            ("ftp://host/x", "`ftp` is not supported"),
        ] {
            let error = Place::at(url).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.hint().unwrap().contains("s3://BUCKET/PREFIX"));
        }
    }

    #[test]
    fn a_url_with_a_query_is_refused_without_showing_it() {
        let error = Place::at("https://u:p@host/ci?sig=SECRET").unwrap_err().to_string();
        assert!(!error.contains("SECRET") && !error.contains("u:p"), "{error}");
    }

    #[test]
    fn a_directory_is_not_made_before_something_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(dir.path().join("new")).unwrap();
        let place = Place::at(url.as_str()).unwrap();
        assert!(place.prefix.as_ref().ends_with("/new/v1") && !dir.path().join("new").exists());
    }
}
