//! The HTTP of a WHIP client (RFC 9725), which is that of a WHEP client, too: POST an offer, DELETE the session.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode};
use url::Url;

use crate::config::Secret;

/// The longest answer that is read.
const ANSWER_MAX_BYTES: usize = 256 * 1024;

/// A WHIP endpoint.
pub(crate) struct Endpoint {
    http: Client,
    url: Url,
    token: Option<Secret>,
}

/// A session that a server granted.
pub(crate) struct Granted {
    /// The session's URL.
    pub(crate) session: Option<Url>,
    /// The SDP answer.
    pub(crate) answer: String,
}

/// Says what went wrong between us and the server.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WhipError {
    /// No answer.
    #[error("{0} does not answer: {1}")]
    Unreachable(Url, reqwest::Error),
    /// A refusal.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// The endpoint.
        url: Url,
        /// Its status.
        status: StatusCode,
        /// What it says about it.
        body: String,
    },
    /// An answer that is too long, or no text.
    #[error("{0} answered with something that is not SDP")]
    NoSdp(Url),
}

impl Endpoint {
    /// Names an endpoint and the token that it asks for.
    pub(crate) fn new(url: Url, token: Option<Secret>) -> Self {
        Self::over(Client::new(), url, token)
    }

    /// Names an endpoint whose connections are shared with others.
    pub(crate) fn over(http: Client, url: Url, token: Option<Secret>) -> Self {
        Self { http, url, token }
    }

    /// Posts an offer.
    pub(crate) async fn post(&self, offer: String) -> Result<Granted, WhipError> {
        let unreachable = |error| WhipError::Unreachable(self.url.clone(), error);
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/sdp").body(offer);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        // The location may be relative (RFC 9725 §4.2), and is so to where redirects led.
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let session = location.and_then(|location| response.url().join(location).ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_MAX_BYTES {
                return Err(WhipError::NoSdp(self.url.clone()));
            }
        }
        let answer = String::from_utf8(body).map_err(|_| WhipError::NoSdp(self.url.clone()))?;
        if status != StatusCode::CREATED {
            return Err(WhipError::Refused { url: self.url.clone(), status, body: answer });
        }
        Ok(Granted { session, answer })
    }

    /// Ends a session. A server that is gone already has ended it, too.
    pub(crate) async fn delete(&self, session: Url) {
        let mut request = self.http.delete(session);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Err(error) = request.send().await {
            tracing::debug!(%error, "the session could not be deleted");
        }
    }
}
