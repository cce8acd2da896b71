//! The URL of a camera, which as a rule holds a password.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// Stands for what is not shown.
const MASK: &str = "***";

/// How much of another program's text is shown, in characters.
const SHOWN_MAX: usize = 200;

/// Where a camera is, and how to log in there. Shown without user, password, path and query: with many cameras the last
/// two hold a password as well.
#[derive(Clone, PartialEq, Eq)]
pub struct CameraUrl {
    /// Without user and password.
    url: Url,
    login: Option<Login>,
}

/// A user and a password, as the camera knows them.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: String,
}

/// Says why a text is no URL of a camera, without the text: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CameraUrlError {
    /// It is no URL at all, or has no host.
    #[error("is not a URL, must look like \"rtsp://user:password@10.0.0.7/stream1\"")]
    NotAUrl,
    /// It leads elsewhere. TLS and HTTP tunnels are not spoken.
    #[error("has another scheme than rtsp")]
    Scheme,
    /// The user or password is no UTF-8 once its `%XX` are decoded.
    #[error("has a user or password that is not UTF-8")]
    Login,
    /// It was shown by this type.
    #[error("is the mask of a shown URL, not the URL")]
    Masked,
}

impl FromStr for CameraUrl {
    type Err = CameraUrlError;

    fn from_str(text: &str) -> Result<Self, CameraUrlError> {
        let mut url = Url::parse(text).map_err(|_| CameraUrlError::NotAUrl)?;
        if url.scheme() != "rtsp" {
            return Err(CameraUrlError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(CameraUrlError::NotAUrl);
        }
        if url.path().ends_with(MASK) {
            return Err(CameraUrlError::Masked);
        }
        let login = login(&url)?;
        // Both can be set wherever there is a host.
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return Err(CameraUrlError::NotAUrl);
        }
        url.set_fragment(None);
        Ok(Self { url, login })
    }
}

impl CameraUrl {
    /// Returns the URL without user and password.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns what to log in with.
    pub(super) const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Returns the first line of what another program said, without anything secret of this URL.
    pub(super) fn scrub(&self, text: &str) -> String {
        let line = text.lines().next().unwrap_or_default();
        let mut secrets: Vec<&str> = [self.url.path().trim_matches('/')].into_iter().chain(self.url.query()).collect();
        if let Some(Login { username, password }) = &self.login {
            secrets.extend([username.as_str(), password.as_str()]);
        }
        secrets.retain(|secret| !secret.is_empty());
        // What is part of another one last, so that nothing is left of that.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let scrubbed = secrets.iter().fold(line.to_owned(), |line, secret| line.replace(secret, MASK));
        scrubbed.chars().filter(|letter| !letter.is_control()).take(SHOWN_MAX).collect()
    }
}

impl fmt::Display for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.login.is_some() { "***@" } else { "" };
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "rtsp://{login}{}{port}/{MASK}", self.url.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for CameraUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CameraUrl({self})")
    }
}

fn login(url: &Url) -> Result<Option<Login>, CameraUrlError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let username = percent_decoded(url.username()).ok_or(CameraUrlError::Login)?;
    let password = percent_decoded(url.password().unwrap_or_default()).ok_or(CameraUrlError::Login)?;
    Ok(Some(Login { username, password }))
}

/// Decodes `%XX` (RFC 3986 §2.1); a lone percent sign stands for itself.
fn percent_decoded(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits.filter(|digits| !digits.starts_with('+')).and_then(|it| u8::from_str_radix(it, 16).ok());
        rest = if decoded.is_some() { &behind[2..] } else { behind };
        bytes.push(decoded.unwrap_or(byte));
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(text: &str) -> CameraUrl {
        text.parse().unwrap()
    }

    #[test]
    fn login_and_address_come_apart() {
        let camera = camera("rtsp://admin:p%40ss%2fw%@10.0.0.7:8554/Streaming/101?a=b#c");
        assert_eq!(camera.url().as_str(), "rtsp://10.0.0.7:8554/Streaming/101?a=b");
        let Login { username, password } = camera.login().unwrap();
        assert_eq!((username.as_str(), password.as_str()), ("admin", "p@ss/w%"));
        assert!(self::camera("rtsp://cam.local/").login().is_none());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let camera = camera("rtsp://admin:hunter2@10.0.0.7:8554/token/7f3a?key=abc");
        assert_eq!(
            format!("{camera} {camera:?}"),
            "rtsp://***@10.0.0.7:8554/*** CameraUrl(rtsp://***@10.0.0.7:8554/***)"
        );
        assert_eq!(self::camera("rtsp://[fd00::7]/x").to_string(), "rtsp://[fd00::7]/***");
        let said = "404 for rtsp://10.0.0.7:8554/token/7f3a?key=abc (admin, hunter2)\u{7}\nhunter2";
        assert_eq!(camera.scrub(said), "404 for rtsp://10.0.0.7:8554/***?*** (***, ***)");
        assert_eq!(camera.scrub(&"é".repeat(500)).chars().count(), SHOWN_MAX);
    }

    #[test]
    fn what_is_no_camera_is_refused() {
        for (text, error) in [
            ("10.0.0.7/stream", CameraUrlError::NotAUrl),
            ("rtsp:///stream", CameraUrlError::NotAUrl),
            ("rtsp:stream", CameraUrlError::NotAUrl),
            ("http://10.0.0.7/stream", CameraUrlError::Scheme),
            ("rtsps://10.0.0.7/stream", CameraUrlError::Scheme),
            ("rtsp://a:%ff@10.0.0.7/stream", CameraUrlError::Login),
            ("rtsp://***@10.0.0.7/***", CameraUrlError::Masked),
        ] {
            assert_eq!(CameraUrl::from_str(text), Err(error), "{text}");
        }
    }
}
