//! A store that asks to be left alone for a while is left alone: the library's retries do not read `Retry-After`.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// The longest wait before a write is tried again, whatever the store asks: it is the spool that has patience.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(120);

/// The longest wait before a read is tried again: somebody is waiting for it, and should rather hear of a failure.
const READ_WAIT_MAX: Duration = Duration::from_secs(5);

/// Makes clients that hold back an answer 429 or 503 for as long as it says, before the retries see it.
#[derive(Debug)]
pub(super) struct Patience;

/// Such a client.
#[derive(Debug)]
struct Patient(HttpClient);

impl HttpConnector for Patience {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Patient(ReqwestConnector::default().connect(options)?)))
    }
}

#[async_trait]
impl HttpService for Patient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let longest = if request.method().is_safe() { READ_WAIT_MAX } else { WRITE_WAIT_MAX };
        let answer = self.0.execute(request).await?;
        if matches!(answer.status().as_u16(), 429 | 503)
            && let Some(header) = answer.headers().get("retry-after")
            && let Some(wait) = header.to_str().ok().and_then(|text| retry_after(text, Utc::now()))
        {
            tokio::time::sleep(wait.min(longest)).await;
        }
        Ok(answer)
    }
}

/// Reads how long to wait: seconds or an HTTP date (RFC 9110 §10.2.3). One that has passed asks for no wait.
fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(header).ok()?;
    Some((date.to_utc() - now).to_std().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-11-25T08:00:00Z").unwrap().to_utc();
        let seconds = |header| retry_after(header, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds("Wed, 25 Nov 2026 08:01:30 GMT"), Some(90));
        assert_eq!(seconds("Wed, 25 Nov 2026 07:00:00 GMT"), Some(0));
        assert_eq!(seconds("18446744073709551615"), Some(u64::MAX));
        for nonsense in ["", "-1", "soon", "18446744073709551616", "Wed, 99 Nov 2026 08:01:30 GMT"] {
            assert_eq!(seconds(nonsense), None, "{nonsense}");
        }
    }
}
