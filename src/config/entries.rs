//! The entries of lists of tables: ICE servers and tokens.

use std::time::Duration;

use onair_media::{RoomGlob, RoomName};
use onair_web::auth::{Right, is_b64token};
use toml_edit::{Array, InlineTable, Item, Value};

use super::duration::{parse_duration, show_duration};
use super::report::Fault;
use super::secret::{MASK, Secret};
use super::storage::secret;
use super::value::{Fields, list, tables, text};

/// How long a TURN credential lasts when nothing else is said.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// Bounds of a TURN credential's life: long enough to connect, short enough to be worth the trouble.
const TTL_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);

/// A STUN or TURN server that clients are told of, one `Link` header per URL (RFC 9725 §4.6).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct IceServer {
    /// Its URLs (RFC 7064, RFC 7065); never empty.
    pub(crate) urls: Vec<String>,
    /// How clients log in.
    pub(crate) login: IceLogin,
}

/// Tells how clients log in to a TURN server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum IceLogin {
    /// Not at all; no URL is a TURN URL.
    None,
    /// With the same name and password for all.
    Fixed {
        /// The user name.
        username: String,
        /// The password.
        credential: Secret,
    },
    /// With credentials made for each client (draft-uberti-behave-turn-rest-00 §2.2).
    Shared {
        /// The secret that the TURN server knows too.
        secret: Secret,
        /// How long a credential is good for.
        ttl: Duration,
    },
}

impl IceServer {
    /// Reads the list of servers.
    pub(crate) fn read_all(item: &Item) -> Result<Vec<Self>, Vec<Fault>> {
        tables(item, Self::read)
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = fields.unknown(&["urls", "username", "credential", "secret", "ttl"]);
        let urls = fields.read("urls", &mut faults, |item| list(item, ice_url));
        let username = fields.read("username", &mut faults, |item| text(item).map(String::from));
        let credential = fields.read("credential", &mut faults, secret);
        let shared = fields.read("secret", &mut faults, secret);
        let ttl = fields.read("ttl", &mut faults, ttl);
        if !faults.is_empty() {
            return Err(faults);
        }
        let login = match (username, credential, shared) {
            (None, None, None) if ttl.is_none() => IceLogin::None,
            (Some(username), Some(credential), None) if ttl.is_none() => IceLogin::Fixed { username, credential },
            (None, None, Some(secret)) => IceLogin::Shared { secret, ttl: ttl.unwrap_or(DEFAULT_TTL) },
            _ => return Err(fields.fault("takes either username and credential, or secret with a ttl").into()),
        };
        let urls = urls.unwrap_or_default();
        let needs_login = urls.iter().any(|url| url.starts_with("turn"));
        match (urls.is_empty(), needs_login && login == IceLogin::None) {
            (true, _) => Err(fields.fault("needs urls, with at least one").into()),
            (_, true) => Err(fields.fault("has a TURN URL and needs username and credential, or secret").into()),
            _ => Ok(Self { urls, login }),
        }
    }

    /// Renders what [`Self::read_all`] reads, secrets masked.
    pub(crate) fn show(&self) -> Value {
        let mut table = InlineTable::new();
        table.insert("urls", Array::from_iter(&self.urls).into());
        match &self.login {
            IceLogin::None => {}
            IceLogin::Fixed { username, .. } => {
                table.insert("username", username.into());
                table.insert("credential", MASK.into());
            }
            IceLogin::Shared { ttl, .. } => {
                table.insert("secret", MASK.into());
                table.insert("ttl", show_duration(*ttl).into());
            }
        }
        table.into()
    }
}

/// Accepts `stun:`, `stuns:`, `turn:` and `turns:` with a host. Clients parse the rest, but a `Link` header carries it:
/// brackets, quotes and controls would end the header's URL early.
fn ice_url(url: &str) -> Result<String, String> {
    let known = ["stun:", "stuns:", "turn:", "turns:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"' | b'\\');
    match known {
        Some(host) if !host.is_empty() && !host.starts_with("//") && host.bytes().all(plain) => Ok(url.into()),
        _ => Err(format!("is \"{url}\", must look like \"stun:host:3478\" or \"turn:host:3478?transport=udp\"")),
    }
}

fn ttl(item: &Item) -> Result<Duration, Fault> {
    let written = text(item)?;
    let expected = || format!("is \"{written}\", must be \"1m\" to \"7d\", such as \"1h\"").into();
    parse_duration(written).filter(|ttl| TTL_RANGE.contains(ttl)).ok_or_else(expected)
}

/// A token and what it allows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TokenGrant {
    /// What clients send after `Authorization: Bearer`.
    pub(crate) token: Secret,
    /// What it allows; never empty.
    pub(crate) can: Vec<Right>,
    /// Where.
    pub(crate) rooms: RoomGlob,
}

impl TokenGrant {
    /// Tells whether the token may publish to a room.
    pub(crate) fn publishes(&self, room: &RoomName) -> bool {
        self.can.iter().any(|right| matches!(right, Right::Publish | Right::Admin)) && self.rooms.matches(room)
    }

    /// Reads the list of tokens.
    pub(crate) fn read_all(item: &Item) -> Result<Vec<Self>, Vec<Fault>> {
        tables(item, Self::read)
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = fields.unknown(&["token", "can", "rooms"]);
        let token = fields.read("token", &mut faults, token);
        let can = fields.read("can", &mut faults, |item| list(item, right));
        let rooms = fields.read("rooms", &mut faults, |item| glob(text(item)?).map_err(Fault::from));
        for (name, missing) in [("token", fields.item("token").is_none()), ("can", fields.item("can").is_none())] {
            if missing {
                faults.push(fields.fault(format!("needs {name}")));
            }
        }
        match (token, can) {
            (_, Some(can)) if can.is_empty() => faults.push(fields.fault("allows nothing: can is empty")),
            (Some(token), Some(can)) if faults.is_empty() => {
                return Ok(Self { token, can, rooms: rooms.unwrap_or_else(RoomGlob::any) });
            }
            _ => {}
        }
        Err(faults)
    }

    /// Renders what [`Self::read_all`] reads, the token masked.
    pub(crate) fn show(&self) -> Value {
        let mut table = InlineTable::new();
        table.insert("token", MASK.into());
        table.insert("can", self.can.iter().map(|right| right.as_str()).collect::<Array>().into());
        table.insert("rooms", self.rooms.as_str().into());
        table.into()
    }
}

fn token(item: &Item) -> Result<Secret, Fault> {
    let token = secret(item)?;
    if is_b64token(token.expose()) {
        return Ok(token);
    }
    Err("has a character that no bearer token can have; use A-Z a-z 0-9 - . _ ~ + /".to_owned().into())
}

fn right(word: &str) -> Result<Right, String> {
    Right::parse(word).ok_or_else(|| {
        let words = Right::ALL.map(Right::as_str).join(", ");
        format!("is \"{word}\", must be one of {words}")
    })
}

/// Parses a room glob.
pub(crate) fn glob(text: &str) -> Result<RoomGlob, String> {
    RoomGlob::parse(text).map_err(|rule| format!("is \"{text}\": {rule}"))
}
