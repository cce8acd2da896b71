//! The storage URL, its options, and paths of the local disk.

use std::path::{Path, PathBuf};

use toml_edit::Item;
use url::Url;

use super::report::Fault;
use super::secret::{MASK, Secret};
use super::value::text;

/// Reads a storage URL; a plain path or `file:` with a relative path is taken from `dir`.
pub(crate) fn storage_url(item: &Item, dir: &Path) -> Result<Url, Fault> {
    let text = text(item)?;
    let local_path = match text.strip_prefix("file:") {
        Some(rest) if rest.starts_with("//") => None,
        Some(rest) => Some(rest),
        None if text.contains(':') => None,
        None => Some(text),
    };
    match local_path {
        Some("") => Err("is empty, must be a URL or a directory".to_owned().into()),
        Some(path) => Ok(file_url(&dir.join(path))),
        None => checked_url(text).map_err(Fault::from),
    }
}

fn checked_url(text: &str) -> Result<Url, String> {
    let Ok(url) = Url::parse(text) else {
        return Err("is not a URL, must be file://, s3://, gs://, az:// or memory:// or a directory".into());
    };
    // The text is not repeated in the message: it may hold a password.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or password in it, which belongs into storage.options".into());
    }
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    match url.scheme() {
        "file" if has_host => Err(format!("is \"{text}\", a file URL has three slashes: file:///path")),
        "s3" | "gs" | "az" if !has_host => Err(format!("is \"{text}\", must name a bucket: {}://bucket", url.scheme())),
        "file" | "s3" | "gs" | "az" | "memory" => Ok(url),
        other => Err(format!("has the scheme {other}, must be file, s3, gs, az or memory")),
    }
}

/// Makes a `file://` URL of an absolute path, without `.` and `..`, which object names cannot have.
pub(crate) fn file_url(path: &Path) -> Url {
    let url = Url::from_file_path(path).expect("the path is absolute");
    Url::parse(url.as_str()).expect("a URL in its own serialisation parses")
}

/// Reads a path, from `dir` if relative.
pub(crate) fn path(item: &Item, dir: &Path) -> Result<PathBuf, Fault> {
    match text(item)? {
        "" => Err("is empty, must be a path".to_owned().into()),
        path => Ok(dir.join(path.strip_prefix("./").unwrap_or(path))),
    }
}

/// Reads a text that is secret. The mask is refused: it would be a printed configuration that was put to use.
pub(crate) fn secret(item: &Item) -> Result<Secret, Fault> {
    match text(item)? {
        "" => Err("is empty".to_owned().into()),
        MASK => Err("is the mask of a printed configuration, not the secret".to_owned().into()),
        clear_text => Ok(Secret::new(clear_text)),
    }
}

/// Shows an option of the object store, masked unless its name is known to be harmless.
pub(crate) fn show_option(name: &str, value: &Secret) -> String {
    const HARMLESS: [&str; 8] =
        ["endpoint", "region", "bucket", "allow_http", "virtual_hosted_style", "account_name", "container", "timeout"];
    let name = name.to_ascii_lowercase();
    let harmless = HARMLESS.iter().any(|harmless| name.ends_with(harmless));
    if harmless { value.expose().to_owned() } else { MASK.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let url = storage_url(&toml_edit::value(text), Path::new("/srv/onair"));
        url.map(String::from).map_err(|fault| fault.message)
    }

    #[test]
    fn local_paths_become_absolute_urls() {
        for (text, url) in [
            ("rec", "file:///srv/onair/rec"),
            ("./rec", "file:///srv/onair/rec"),
            ("file:./rec", "file:///srv/onair/rec"),
            ("file:../rec x", "file:///srv/rec%20x"),
            ("/var/rec", "file:///var/rec"),
            ("file:///var/rec", "file:///var/rec"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(url), "{text}");
        }
    }

    #[test]
    fn buckets_are_named_and_credentials_are_not() {
        for good in ["s3://bucket/prefix", "gs://bucket", "az://container/x", "memory:///"] {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        for bad in ["", "file:", "file://rec", "s3://", "s3:x", "ftp://host/x", "https://host/x", "s3://[", ":x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let refusal = read("s3://AKIA:hunter2@bucket").unwrap_err();
        assert!(refusal.contains("storage.options") && !refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn only_harmless_options_are_shown() {
        let value = Secret::new("v");
        for (name, shown) in [("endpoint", "v"), ("AWS_REGION", "v"), ("secret_access_key", MASK), ("anything", MASK)] {
            assert_eq!(show_option(name, &value), shown, "{name}");
        }
    }
}
