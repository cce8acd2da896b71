//! STUN and TURN servers for clients, as `Link` headers (RFC 9725 §4.6).

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Names a STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Such as `turn:turn.example.org:3478?transport=udp`.
    pub urls: Vec<String>,
    /// How clients log in.
    pub login: Login,
}

/// Tells how clients log in to a TURN server. `Debug` shows no secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Not at all.
    None,
    /// All with the same name and password.
    Fixed {
        /// The user name.
        username: String,
        /// The password.
        credential: String,
    },
    /// Each with a password that ends after a while (draft-uberti-behave-turn-rest-00 §2.2).
    Shared {
        /// What the TURN server knows too.
        secret: String,
        /// How long a password is good for.
        ttl: Duration,
    },
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Fixed { .. } => "Fixed(***)",
            Self::Shared { .. } => "Shared(***)",
        })
    }
}

impl IceServer {
    /// Renders one `Link` value a URL, with credentials that are good from `wallclock` on.
    pub fn links(&self, wallclock: SystemTime) -> Vec<String> {
        let credentials = match self.login.credentials(wallclock) {
            Some((username, credential)) => {
                let (username, credential) = (quoted(&username), quoted(&credential));
                format!("; username={username}; credential={credential}; credential-type=\"password\"")
            }
            None => String::new(),
        };
        self.urls.iter().map(|url| format!("<{url}>; rel=\"ice-server\"{credentials}")).collect()
    }
}

impl Login {
    fn credentials(&self, wallclock: SystemTime) -> Option<(String, String)> {
        match self {
            Self::None => None,
            Self::Fixed { username, credential } => Some((username.clone(), credential.clone())),
            Self::Shared { secret, ttl } => {
                let ends = wallclock.checked_add(*ttl)?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
                let username = format!("{ends}:onair");
                // The draft asks for SHA-1, and so do the TURN servers.
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
                let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
                Some((username, credential))
            }
        }
    }
}

/// Renders a quoted string (RFC 9110 §5.6.4).
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(login: Login) -> IceServer {
        IceServer { urls: vec!["turn:a".into(), "turn:b".into()], login }
    }

    #[test]
    fn each_url_is_a_link_of_its_own() {
        let server = server(Login::Fixed { username: "u".into(), credential: "c\"\\".into() });
        let links = server.links(SystemTime::UNIX_EPOCH);
        assert_eq!(links.len(), 2);
        assert_eq!(
            links[0],
            r#"<turn:a>; rel="ice-server"; username="u"; credential="c\"\\"; credential-type="password""#
        );
        assert!(!format!("{server:?}").contains("c\\"));
    }

    #[test]
    fn shared_secrets_become_passwords_that_end() {
        let server = server(Login::Shared { secret: "north".into(), ttl: Duration::from_secs(3600) });
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let link = server.links(at).remove(0);
        // printf 1003600:onair | openssl dgst -sha1 -hmac north -binary | base64
        assert!(link.contains(r#"username="1003600:onair"; credential="EyGarxtYTameViNZuxkVwditwTo=""#), "{link}");
        assert!(!link.contains("north"));
    }
}
