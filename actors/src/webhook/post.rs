//! One attempt: an event goes to its receiver by HTTP.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use onair_recorder::{EventId, EventKind, sha256_hex};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url, redirect};

use super::signature::SigningKey;

/// How long a receiver may take to answer, its connection included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a receiver is. Shown without its path and query: with many services these are its password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HookUrl(Url);

impl HookUrl {
    /// Wraps an absolute URL of `http` or `https`.
    pub const fn new(url: Url) -> Self {
        Self(url)
    }

    /// Names the receiver, always in the same way, in a form that is safe as a file name and says nothing of the URL.
    pub(super) fn digest(&self) -> String {
        sha256_hex(self.0.as_str().as_bytes())[..16].into()
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/***", self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HookUrl({self})")
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver has the event (2xx).
    Taken,
    /// The receiver wants no such event, now or later (410).
    Gone,
    /// Another attempt may help.
    Failed {
        /// Why, without the URL.
        reason: String,
        /// How long the receiver wants to be left alone (RFC 9110 §10.2.3).
        retry_after: Option<Duration>,
    },
    /// The event is not on the disk any more.
    Lost,
}

/// Makes what all receivers share. Redirects are not followed: a signed event is for whom it was signed for.
pub(super) fn client() -> reqwest::Result<Client> {
    let agent = concat!("onair/", env!("CARGO_PKG_VERSION"));
    Client::builder().user_agent(agent).timeout(PATIENCE).redirect(redirect::Policy::none()).build()
}

/// Sends one event.
pub(super) async fn post(
    client: &Client,
    url: &HookUrl,
    key: &SigningKey,
    (id, kind): (EventId, EventKind),
    body: Vec<u8>,
) -> Answer {
    let now = SystemTime::now();
    let unix_s = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let request = client
        .post(url.0.clone())
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", id.to_string())
        .header("onair-event", kind.as_str())
        .header("onair-signature", key.sign(unix_s, &body))
        .body(body);
    match request.send().await {
        Ok(response) if response.status().is_success() => Answer::Taken,
        Ok(response) if response.status() == StatusCode::GONE => Answer::Gone,
        Ok(response) => Answer::Failed {
            reason: format!("the receiver answered {}", response.status()),
            retry_after: retry_after(response.headers(), now.into()),
        },
        Err(error) => Answer::Failed { reason: causes(&error.without_url()), retry_after: None },
    }
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    date.signed_duration_since(now).to_std().ok()
}

/// Says what failed with all its causes: the outermost one alone is "error sending request".
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| Error::source(*error));
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_in_seconds_or_by_date_when_to_come_back() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T06:30:00Z").unwrap().to_utc();
        let after = |value: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]), now);
        assert_eq!(after("120"), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 22 Nov 2026 06:30:07 GMT"), Some(Duration::from_secs(7)));
        for nothing in ["Sun, 22 Nov 2026 06:29:00 GMT", "-1", "soon", ""] {
            assert_eq!(after(nothing), None, "{nothing}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_its_password() {
        let url = HookUrl::new(Url::parse("https://hooks.example.org:8443/T0/hunter2?token=hunter2").unwrap());
        assert_eq!(url.to_string(), "https://hooks.example.org:8443/***");
        assert_eq!(format!("{url:?}"), "HookUrl(https://hooks.example.org:8443/***)");
        assert!(url.digest().len() == 16 && url.digest().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
