//! The configuration: read once, from defaults, file, environment and flags, into types that cannot be wrong.
//!
//! [`keys`] is the one table of what can be set; the loader, the environment names, `--print-config`
//! and docs/configuration.md all follow from it.

mod by_room;
mod cameras;
mod check;
mod duration;
mod entries;
mod keys;
mod load;
mod network;
mod print;
mod record;
mod report;
mod retention;
mod secret;
mod size;
mod storage;
mod value;
mod webhooks;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use onair_actors::core::cidr::Cidr;
use onair_recorder::{Fsync, SpoolSettings};
use onair_web::auth::{Grant, Policy};
use url::{Host, Url};

pub(crate) use cameras::Camera;
pub(crate) use entries::{IceLogin, IceServer, TokenGrant};
pub(crate) use load::{Exposure, Flag, Sources};
pub(crate) use network::CorsOrigins;
pub(crate) use record::Record;
pub(crate) use report::Report;
pub(crate) use retention::Retention;
pub(crate) use secret::Secret;
pub(crate) use webhooks::Webhook;

/// Holds everything that can be configured, checked as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The HTTP listener.
    pub(crate) http: Http,
    /// WebRTC media and what clients are told about the network.
    pub(crate) media: Media,
    /// Where recordings go.
    pub(crate) storage: Storage,
    /// How HLS is cut.
    pub(crate) hls: Hls,
    /// What is recorded.
    pub(crate) record: Record,
    /// For how long recordings are kept.
    pub(crate) retention: Retention,
    /// Who may do what.
    pub(crate) auth: Auth,
    /// What holds for all rooms.
    pub(crate) rooms: Rooms,
    /// Who may add RTSP sources beside those of the configuration.
    pub(crate) rtsp: Rtsp,
    /// The RTSP cameras; no two have the same room.
    pub(crate) sources: Vec<Camera>,
    /// Who is told what happens; no two have the same URL.
    pub(crate) webhooks: Vec<Webhook>,
    /// What the server says about itself.
    pub(crate) log: Log,
}

/// The HTTP listener.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Http {
    /// Where HTTP listens.
    pub(crate) listen: SocketAddr,
    /// Certificate and key for HTTPS; plain HTTP without.
    pub(crate) tls: Option<Tls>,
    /// Which web origins may call the server from a browser.
    pub(crate) cors: CorsOrigins,
}

/// A certificate and its key, as PEM files; both existed when the configuration was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Tls {
    /// The certificate chain.
    pub(crate) cert: PathBuf,
    /// The private key.
    pub(crate) key: PathBuf,
}

/// WebRTC media.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Media {
    /// Where media listens over UDP.
    pub(crate) listen: SocketAddr,
    /// Public addresses to offer as ICE candidates in place of the local ones.
    pub(crate) advertise: Vec<Host>,
    /// STUN and TURN servers for the clients.
    pub(crate) ice_servers: Vec<IceServer>,
    /// How many WHIP and WHEP sessions there may be at once.
    pub(crate) max_sessions: u32,
    /// How many WHEP viewers one room may have; 0 for no limit of its own.
    pub(crate) max_viewers_per_room: u32,
    /// How busy the workers may be for another viewer to be let in, in percent.
    pub(crate) max_load_percent: u32,
    /// How long packets may gather in front of viewers.
    pub(crate) batch: Duration,
    /// How many threads carry media; 0 for as many as there are cores.
    pub(crate) workers: u32,
}

/// Where recordings go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Storage {
    /// The bucket or directory and a prefix; `file://` URLs are absolute.
    pub(crate) url: Url,
    /// Options of the object store by name; any of them may be a secret.
    pub(crate) options: BTreeMap<String, Secret>,
    /// The directory in which media waits for its upload, absolute.
    pub(crate) spool: PathBuf,
    /// How it is used.
    pub(crate) spool_settings: SpoolSettings,
}

/// How HLS is cut. Parts are not longer than segments, and the window holds at least three segments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hls {
    /// Target duration of a segment.
    pub(crate) segment: Duration,
    /// Target duration of a part.
    pub(crate) part: Duration,
    /// How much of the broadcast the live playlist offers.
    pub(crate) window: Duration,
}

/// Tells how requests are authorised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMode {
    /// Everybody may do everything.
    None,
    /// Only those with a token of the configuration.
    Token,
}

/// Who may do what: tokens are present exactly if the mode asks for them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Auth {
    /// How requests are authorised.
    pub(crate) mode: AuthMode,
    /// The tokens and what they allow.
    pub(crate) tokens: Vec<TokenGrant>,
    /// How long a ticket lives.
    pub(crate) ticket_ttl: Duration,
    /// What tickets are signed with; without one they end with the server.
    pub(crate) ticket_secret: Option<Secret>,
}

impl Auth {
    /// Builds what the web layer asks.
    pub(crate) fn policy(&self) -> Policy {
        match self.mode {
            AuthMode::None => Policy::Open,
            AuthMode::Token => {
                let grant = |t: &TokenGrant| Grant::new(t.token.expose(), t.can.iter().copied(), t.rooms.clone());
                Policy::Tokens(self.tokens.iter().map(grant).collect())
            }
        }
    }
}

/// What holds for all rooms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rooms {
    /// How long a camera may send no media.
    pub(crate) timeout: Duration,
}

/// What the API may do with RTSP sources.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rtsp {
    /// The networks whose cameras it may add; none unless set.
    pub(crate) allow: Vec<Cidr>,
}

/// Tells how log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the server says about itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Log {
    /// How log lines look.
    pub(crate) format: LogFormat,
    /// Which events are logged: directives of tracing's `EnvFilter`, known to parse.
    pub(crate) filter: String,
}

impl Media {
    /// Returns how many threads carry media on a machine with this many cores.
    pub(crate) fn workers_of(&self, cores: usize) -> usize {
        if self.workers == 0 { cores } else { self.workers as usize }
    }
}

impl Config {
    /// Returns the defaults for a server that runs in `dir`, which must be absolute.
    fn defaults(dir: &Path) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        let (spool, recordings) = (dir.join("data/spool"), dir.join("data/recordings"));
        Self {
            http: Http { listen, tls: None, cors: CorsOrigins::Any },
            media: Media {
                listen,
                advertise: Vec::new(),
                ice_servers: Vec::new(),
                max_sessions: 10_000,
                max_viewers_per_room: 0,
                max_load_percent: 90,
                batch: Duration::ZERO,
                workers: 0,
            },
            storage: Storage {
                url: storage::file_url(&recordings),
                options: BTreeMap::new(),
                spool,
                spool_settings: SpoolSettings { max_bytes: 10 << 30, min_free_bytes: 1 << 30, fsync: Fsync::Segment },
            },
            hls: Hls {
                segment: Duration::from_secs(4),
                part: Duration::from_millis(500),
                window: Duration::from_secs(60),
            },
            record: Record::default(),
            retention: Retention::default(),
            auth: Auth {
                mode: AuthMode::None,
                tokens: Vec::new(),
                ticket_ttl: Duration::from_secs(12 * 3_600),
                ticket_secret: None,
            },
            rooms: Rooms { timeout: Duration::from_secs(10) },
            rtsp: Rtsp { allow: Vec::new() },
            sources: Vec::new(),
            webhooks: Vec::new(),
            log: Log { format: LogFormat::Text, filter: "info".into() },
        }
    }
}

#[cfg(test)]
mod tests;
