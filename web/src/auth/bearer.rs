//! The `Authorization` header, as far as a bearer token goes.

/// Returns the token of an `Authorization: Bearer …` header value.
///
/// The scheme is read without regard to case (RFC 9110 §11.1) and may be followed by several spaces; the token is
/// a `b64token` of RFC 6750 §2.1. Anything else, another scheme included, is `None`: no token was brought.
pub fn bearer_token(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && is_b64token(token)).then_some(token)
}

/// Tells whether the text is at least one of `A-Z a-z 0-9 - . _ ~ + /`, followed by any number of `=`.
///
/// Configured tokens obey it too, or no client could send them.
pub fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && body.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_has_no_case() {
        for header in ["Bearer a.b-c==", "bearer a.b-c==", "BEARER   a.b-c==", "Bearer a.b-c== "] {
            assert_eq!(bearer_token(header), Some("a.b-c=="), "{header:?}");
        }
    }

    #[test]
    fn anything_else_brings_no_token() {
        for header in ["", "Bearer", "Bearer ", "Bearer ==", "Basic dTpw", "Bearer a b", "Bearer \"x\"", "Bearerx y"] {
            assert_eq!(bearer_token(header), None, "{header:?}");
        }
    }
}
