//! How a receiver knows that an event is ours: HMAC-SHA256 over the time and the body.

use std::fmt;

use aws_lc_rs::hmac;

/// The secret that a receiver shares with us; never shown.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Makes a key of a secret, whose bytes in UTF-8 are the key of the HMAC.
    pub fn new(secret: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
    }

    /// Returns the value of `Onair-Signature`: `t=` with the time in seconds since 1970, and `v1=` with the HMAC of
    /// that time in decimal digits, a dot, and the body.
    pub(super) fn sign(&self, unix_s: u64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{unix_s}.").as_bytes());
        context.update(body);
        let tag = context.sign();
        let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={unix_s},v1={digits}")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer is that of Python:
    /// `hmac.new(b"whsec_north", b'1795329062.{"id":"x"}', "sha256").hexdigest()`.
    #[test]
    fn the_signature_is_that_of_the_documentation() {
        let signed = SigningKey::new("whsec_north").sign(1_795_329_062, br#"{"id":"x"}"#);
        assert_eq!(signed, "t=1795329062,v1=8086ebe7154c2f128639f79cb01bbd2532ca39352796736a2863f7cfdd238d74");
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", SigningKey::new("hunter2")), "SigningKey(***)");
    }
}
