//! Errors to status codes: the one place.
//!
//! A handler returns a [`Problem`]; it goes out as `application/problem+json` (RFC 9457) with a stable `code`.
//! The constructors in `cases` are the complete list of what the server refuses, and how. Nothing here logs.

mod cases;

pub(crate) use self::cases::{ACCEPT_PATCH, ACCEPT_POST};

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use serde::Serialize;

/// The media type of RFC 9457 §3.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Holds one refusal, ready to be sent.
///
/// `code` and the status are part of the public contract; `title` and `detail` are words for people and may change.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The members of RFC 9457 §3.1 and our `code`.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    type_uri: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
}

impl Problem {
    /// Builds a problem; private, so that `cases` stays the complete list.
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, title, detail: detail.into(), headers: Vec::new() }
    }

    /// Adds a response header.
    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Lets caches keep the refusal, which they otherwise must not.
    #[must_use]
    pub fn cached_for(self, max_age: Duration) -> Self {
        let value = HeaderValue::try_from(format!("max-age={}", max_age.as_secs())).expect("a word and a number");
        self.with(CACHE_CONTROL, value)
    }

    /// Replaces the words about this very occurrence.
    #[must_use]
    pub fn because(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the stable code, such as `room_not_live`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    fn to_json(&self) -> Vec<u8> {
        let document = Document {
            type_uri: format!("urn:onair:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
        };
        serde_json::to_vec(&document).expect("strings and a number always serialise")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status);
        // 404 and 405 may be cached by default (RFC 9110 §15.1), and a room that is not there now may be live in a second.
        if !self.headers.iter().any(|(name, _)| name == CACHE_CONTROL) {
            response.insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")));
        }
        response.insert_header((CONTENT_TYPE, PROBLEM_JSON));
        for (name, value) in &self.headers {
            response.append_header((name.clone(), value.clone()));
        }
        response.body(self.to_json())
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _request: &HttpRequest) -> HttpResponse<BoxBody> {
        self.error_response()
    }
}

#[cfg(test)]
mod tests;
