//! The table of everything that can be set. Whatever lists, checks, prints or documents keys reads it from here.

use std::path::Path;
use std::time::Duration;

use onair_recorder::Fsync;
use toml_edit::{Array, Item, Value};
use tracing_subscriber::EnvFilter;

use super::{Input, Key, Kind, Shown};
use crate::config::by_room::ByRoom;
use crate::config::cameras::{Camera, networks, show_networks};
use crate::config::duration::{parse_duration, show_duration};
use crate::config::entries::{IceServer, TokenGrant, glob};
use crate::config::network::{CorsOrigins, advertised, listen_address, show_advertised};
use crate::config::record::{largest, longest, show_largest, show_longest};
use crate::config::report::Fault;
use crate::config::retention::{max_age, max_bytes, show_age, show_bytes};
use crate::config::size::show_size;
use crate::config::storage::{path, secret, show_option, storage_url};
use crate::config::value::{boolean, choice, integer, size, text};
use crate::config::webhooks::Webhook;
use crate::config::{AuthMode, Config, LogFormat, Tls};

/// Room for a few segments of a few recordings, below which nothing would be recorded for long.
const SMALLEST_SPOOL_BYTES: u64 = 64 << 20;

const FSYNC: [(&str, Fsync); 3] = [("never", Fsync::Never), ("segment", Fsync::Segment), ("part", Fsync::Part)];

/// The table, in the order of the documentation. Keys of one section stand together.
pub(in crate::config) static KEYS: [Key; 49] = [
    Key {
        path: "http.listen",
        kind: Kind::Text,
        doc: "Address and port of HTTP.",
        set: |config, input| store(&mut config.http.listen, listen_address(input.item)),
        show: |config| one(config.http.listen.to_string()),
    },
    Key {
        path: "http.tls.cert",
        kind: Kind::Text,
        doc: "Certificate chain for HTTPS, a PEM file; needs `http.tls.key`.",
        set: |config, input| store(&mut tls(config).cert, path(input.item, input.dir)),
        show: |config| maybe(config.http.tls.as_ref().map(|tls| shown_path(&tls.cert))),
    },
    Key {
        path: "http.tls.key",
        kind: Kind::Text,
        doc: "Private key of the certificate, a PEM file.",
        set: |config, input| store(&mut tls(config).key, path(input.item, input.dir)),
        show: |config| maybe(config.http.tls.as_ref().map(|tls| shown_path(&tls.key))),
    },
    Key {
        path: "http.cors",
        kind: Kind::Texts,
        doc: "Web origins that may call the server from a browser; `*` is all of them, an empty list none.",
        set: |config, input| store(&mut config.http.cors, CorsOrigins::read(input.item)),
        show: |config| one(config.http.cors.show()),
    },
    Key {
        path: "media.listen",
        kind: Kind::Text,
        doc: "Address and port of WebRTC media over UDP, one port for every peer. Follows `http.listen` unless set.",
        set: |config, input| store(&mut config.media.listen, listen_address(input.item)),
        show: |config| one(config.media.listen.to_string()),
    },
    Key {
        path: "media.advertise",
        kind: Kind::Texts,
        doc: "Addresses or host names under which peers reach this server, if it stands behind NAT.",
        set: |config, input| store(&mut config.media.advertise, advertised(input.item)),
        show: |config| one(show_advertised(&config.media.advertise)),
    },
    Key {
        path: "media.ice_servers",
        kind: Kind::Tables,
        doc: "STUN and TURN servers for clients: `urls`, and either `username` with `credential`, \
              or `secret` with `ttl` (`\"1h\"`) for TURN REST credentials.",
        set: |config, input| store(&mut config.media.ice_servers, IceServer::read_all(input.item)),
        show: |config| one(config.media.ice_servers.iter().map(IceServer::show).collect::<Array>()),
    },
    Key {
        path: "media.max_sessions",
        kind: Kind::Integer,
        doc: "How many publishers and WebRTC viewers there may be at once; 1 to 1000000.",
        set: |config, input| store(&mut config.media.max_sessions, integer(input.item, 1..=1_000_000)),
        show: |config| one(i64::from(config.media.max_sessions)),
    },
    Key {
        path: "media.max_viewers_per_room",
        kind: Kind::Integer,
        doc: "How many WebRTC viewers one room may have; 0 to 1000000, 0 is as many as there may be sessions.",
        set: |config, input| store(&mut config.media.max_viewers_per_room, integer(input.item, 0..=1_000_000)),
        show: |config| one(i64::from(config.media.max_viewers_per_room)),
    },
    Key {
        path: "media.max_load_percent",
        kind: Kind::Integer,
        doc: "How busy the workers may be, on average over some seconds, for another WebRTC viewer to be let in; 10 to 100, \
              100 is however busy.",
        set: |config, input| store(&mut config.media.max_load_percent, integer(input.item, 10..=100)),
        show: |config| one(i64::from(config.media.max_load_percent)),
    },
    Key {
        path: "media.batch_us",
        kind: Kind::Integer,
        doc: "How many microseconds a busy worker waits for the rest of a picture before it sends what there is to viewers, at \
              most; an idle one never waits; 0 to 20000.",
        set: |config, input| store(&mut config.media.batch, integer(input.item, 0..=20_000).map(microseconds)),
        show: |config| one(whole(config.media.batch.as_micros())),
    },
    Key {
        path: "media.workers",
        kind: Kind::Integer,
        doc: "How many threads carry media, each with a socket on the one port; 0 to 256, 0 is one for each core.",
        set: |config, input| store(&mut config.media.workers, integer(input.item, 0..=256)),
        show: |config| one(i64::from(config.media.workers)),
    },
    Key {
        path: "storage.url",
        kind: Kind::Text,
        doc: "Where recordings go: `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://`, `file://…` or a directory.",
        set: |config, input| store(&mut config.storage.url, storage_url(input.item, input.dir)),
        show: |config| one(config.storage.url.as_str()),
    },
    Key {
        path: "storage.options.*",
        kind: Kind::Text,
        doc: "An option of the object store, such as `endpoint`, `region` or `allow_http`.",
        set: |config, input| {
            config.storage.options.insert(input.name.into(), secret(input.item)?);
            Ok(())
        },
        show: |config| {
            let options = config.storage.options.iter();
            options.map(|(name, value)| (name.clone(), show_option(name, value).into())).collect()
        },
    },
    Key {
        path: "storage.spool",
        kind: Kind::Text,
        doc: "Directory in which media waits for its upload.",
        set: |config, input| store(&mut config.storage.spool, path(input.item, input.dir)),
        show: |config| one(shown_path(&config.storage.spool)),
    },
    Key {
        path: "storage.spool_max_bytes",
        kind: Kind::Text,
        doc: "The most that may wait there, as in `500MB` or `10GiB`; at least 64MiB.",
        set: |config, input| {
            store(&mut config.storage.spool_settings.max_bytes, size(input.item, SMALLEST_SPOOL_BYTES))
        },
        show: |config| one(show_size(config.storage.spool_settings.max_bytes)),
    },
    Key {
        path: "storage.spool_min_free",
        kind: Kind::Text,
        doc: "How much of its disk is left alone, as in `1GiB`.",
        set: |config, input| store(&mut config.storage.spool_settings.min_free_bytes, size(input.item, 0)),
        show: |config| one(show_size(config.storage.spool_settings.min_free_bytes)),
    },
    Key {
        path: "spool.fsync",
        kind: Kind::Text,
        doc: "What is written through to the disk, so that a power failure cannot take it: `never` anything, each \
              `segment`, each `part`. A crash of the server alone takes nothing either way.",
        set: |config, input| store(&mut config.storage.spool_settings.fsync, choice(input.item, &FSYNC)),
        show: |config| {
            let name = FSYNC.iter().find(|(_, fsync)| *fsync == config.storage.spool_settings.fsync);
            one(name.map_or("", |(name, _)| *name))
        },
    },
    Key {
        path: "hls.segment_ms",
        kind: Kind::Integer,
        doc: "Target duration of a segment in milliseconds; 1000 to 60000.",
        set: |config, input| store(&mut config.hls.segment, integer(input.item, 1_000..=60_000).map(milliseconds)),
        show: |config| one(whole(config.hls.segment.as_millis())),
    },
    Key {
        path: "hls.part_ms",
        kind: Kind::Integer,
        doc: "Target duration of a low-latency part in milliseconds; 100 to `hls.segment_ms`.",
        set: |config, input| store(&mut config.hls.part, integer(input.item, 100..=60_000).map(milliseconds)),
        show: |config| one(whole(config.hls.part.as_millis())),
    },
    Key {
        path: "hls.window_s",
        kind: Kind::Integer,
        doc: "Seconds that the live playlist offers, kept in memory; at least three segments, at most 3600.",
        set: |config, input| store(&mut config.hls.window, integer(input.item, 3..=3_600).map(seconds)),
        show: |config| one(whole(config.hls.window.as_secs().into())),
    },
    Key {
        path: "record.default",
        kind: Kind::Boolean,
        doc: "Whether broadcasts are recorded from their beginning. By hand recordings are started and stopped at any time.",
        set: |config, input| store(&mut config.record.default.all, boolean(input.item)),
        show: |config| one(config.record.default.all),
    },
    Key {
        path: "record.mp4",
        kind: Kind::Boolean,
        doc: "Whether a recording gets one MP4 file beside its HLS segments.",
        set: |config, input| store(&mut config.record.mp4.all, boolean(input.item)),
        show: |config| one(config.record.mp4.all),
    },
    Key {
        path: "record.audio_only",
        kind: Kind::Boolean,
        doc: "Whether only the sound is recorded.",
        set: |config, input| store(&mut config.record.audio_only.all, boolean(input.item)),
        show: |config| one(config.record.audio_only.all),
    },
    Key {
        path: "record.max_duration",
        kind: Kind::Text,
        doc: "How long a recording may be, such as `1h`, before the next one takes over without a gap; `unlimited`, or \
              at least 10 s.",
        set: |config, input| store(&mut config.record.max_duration.all, longest(input.item)),
        show: |config| one(show_longest(config.record.max_duration.all)),
    },
    Key {
        path: "record.max_bytes",
        kind: Kind::Text,
        doc: "How much media a recording may hold, such as `4GB`, before the next one takes over without a gap; `unlimited`, \
              or at least 1 MiB. One with an MP4 never holds more than 78 GiB.",
        set: |config, input| store(&mut config.record.max_bytes.all, largest(input.item)),
        show: |config| one(show_largest(config.record.max_bytes.all)),
    },
    Key {
        path: "record.posters",
        kind: Kind::Boolean,
        doc: "Whether keyframes are decoded for posters, storyboards and snapshots.",
        set: |config, input| store(&mut config.record.posters, boolean(input.item)),
        show: |config| one(config.record.posters),
    },
    Key {
        path: "record.reconnect_s",
        kind: Kind::Integer,
        doc: "Seconds in which a publisher may come back and continue the same recording; 0 to 3600.",
        set: |config, input| store(&mut config.record.reconnect, integer(input.item, 0..=3_600).map(seconds)),
        show: |config| one(whole(config.record.reconnect.as_secs().into())),
    },
    Key {
        path: "record.retention",
        kind: Kind::Text,
        doc: "How long a recording is kept after its end, such as `30d` or `12h`; `forever` deletes none.",
        set: |config, input| store(&mut config.retention.age.all, max_age(input.item)),
        show: |config| one(show_age(config.retention.age.all)),
    },
    Key {
        path: "record.retention_max_bytes",
        kind: Kind::Text,
        doc: "How much all recordings may take in the store together, such as `500GiB`, those of rooms with a limit of their \
              own aside: beyond it the oldest are deleted; `unlimited` deletes none.",
        set: |config, input| store(&mut config.retention.bytes.all, max_bytes(input.item)),
        show: |config| one(show_bytes(config.retention.bytes.all)),
    },
    Key {
        path: "record.retention_max_count",
        kind: Kind::Integer,
        doc: "How many finished recordings of each room are kept: beyond it the oldest are deleted; 0 to 1000000, 0 deletes none.",
        set: |config, input| store(&mut config.retention.count.all, max_count(input.item)),
        show: |config| one(or_0(config.retention.count.all)),
    },
    Key {
        path: "auth.mode",
        kind: Kind::Text,
        doc: "`none`: everybody may do everything, and the server listens on loopback only. `token`: `auth.tokens` decide.",
        set: |config, input| {
            store(&mut config.auth.mode, choice(input.item, &[("none", AuthMode::None), ("token", AuthMode::Token)]))
        },
        show: |config| one(if config.auth.mode == AuthMode::None { "none" } else { "token" }),
    },
    Key {
        path: "auth.tokens",
        kind: Kind::Tables,
        doc: "Tokens: `token`, what it `can` do (`publish`, `view`, `record`, `admin`, `takeover`; `admin` is all), \
              and in which `rooms` (a glob, `\"*\"` unless set).",
        set: |config, input| store(&mut config.auth.tokens, TokenGrant::read_all(input.item)),
        show: |config| one(config.auth.tokens.iter().map(TokenGrant::show).collect::<Array>()),
    },
    Key {
        path: "auth.ticket_ttl",
        kind: Kind::Text,
        doc: "How long a ticket lives, which stands for a token in the URLs of players, such as `12h`: at least `1m`, at most \
              `30d`. Longer than a viewer watches.",
        set: |config, input| store(&mut config.auth.ticket_ttl, ticket_ttl(input.item)),
        show: |config| one(show_duration(config.auth.ticket_ttl)),
    },
    Key {
        path: "auth.ticket_secret",
        kind: Kind::Text,
        doc: "What tickets are signed with, for tickets that outlive the server or are good for several; random unless set.",
        set: |config, input| store(&mut config.auth.ticket_secret, secret(input.item).map(Some)),
        show: |config| maybe(config.auth.ticket_secret.as_ref().map(ToString::to_string)),
    },
    Key {
        path: "rooms.timeout_s",
        kind: Kind::Integer,
        doc: "Seconds without media after which a camera's session is ended and built anew; 2 to 3600.",
        set: |config, input| store(&mut config.rooms.timeout, integer(input.item, 2..=3600).map(seconds)),
        show: |config| one(whole(config.rooms.timeout.as_secs().into())),
    },
    Key {
        path: "rooms.*.record",
        kind: Kind::Boolean,
        doc: "Whether broadcasts of the rooms that match the glob are recorded; the last match wins.",
        set: |config, input| for_rooms(&mut config.record.default, input, boolean),
        show: |config| config.record.default.show_rooms(Into::into),
    },
    Key {
        path: "rooms.*.record_mp4",
        kind: Kind::Boolean,
        doc: "`record.mp4` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.record.mp4, input, boolean),
        show: |config| config.record.mp4.show_rooms(Into::into),
    },
    Key {
        path: "rooms.*.record_audio_only",
        kind: Kind::Boolean,
        doc: "`record.audio_only` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.record.audio_only, input, boolean),
        show: |config| config.record.audio_only.show_rooms(Into::into),
    },
    Key {
        path: "rooms.*.record_max_duration",
        kind: Kind::Text,
        doc: "`record.max_duration` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.record.max_duration, input, longest),
        show: |config| config.record.max_duration.show_rooms(show_longest),
    },
    Key {
        path: "rooms.*.record_max_bytes",
        kind: Kind::Text,
        doc: "`record.max_bytes` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.record.max_bytes, input, largest),
        show: |config| config.record.max_bytes.show_rooms(show_largest),
    },
    Key {
        path: "rooms.*.retention",
        kind: Kind::Text,
        doc: "`record.retention` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.retention.age, input, max_age),
        show: |config| config.retention.age.show_rooms(show_age),
    },
    Key {
        path: "rooms.*.retention_max_bytes",
        kind: Kind::Text,
        doc: "How much the recordings of the rooms that match the glob may take together, apart from \
              `record.retention_max_bytes`; the last match wins.",
        set: |config, input| for_rooms(&mut config.retention.bytes, input, max_bytes),
        show: |config| config.retention.bytes.show_rooms(show_bytes),
    },
    Key {
        path: "rooms.*.retention_max_count",
        kind: Kind::Integer,
        doc: "`record.retention_max_count` of the rooms that match the glob; the last match wins.",
        set: |config, input| for_rooms(&mut config.retention.count, input, max_count),
        show: |config| config.retention.count.show_rooms(|count| or_0(count).into()),
    },
    Key {
        path: "rtsp.allow",
        kind: Kind::Texts,
        doc: "Networks whose cameras `POST /api/sources` may add, such as `10.0.0.0/8`; with none the API may add no camera.",
        set: |config, input| store(&mut config.rtsp.allow, networks(input.item)),
        show: |config| one(show_networks(&config.rtsp.allow)),
    },
    Key {
        path: "sources",
        kind: Kind::Tables,
        doc: "RTSP cameras: `room`, `url` (`rtsp://user:password@host/path`), whether they are pulled `on_demand` only, and \
              their `transport`, `tcp` unless set to `udp`.",
        set: |config, input| store(&mut config.sources, Camera::read_all(input.item)),
        show: |config| match config.sources.as_slice() {
            [] => Shown::new(),
            cameras => one(cameras.iter().map(Camera::show).collect::<Array>()),
        },
    },
    Key {
        path: "webhooks",
        kind: Kind::Tables,
        doc: "Receivers of events: `url`, `secret`, which `events` (patterns such as `recording.*`, all but \
              `recording.segment` unless set), and of which `rooms` (a glob, `\"*\"` unless set).",
        set: |config, input| store(&mut config.webhooks, Webhook::read_all(input.item)),
        show: |config| match config.webhooks.as_slice() {
            [] => Shown::new(),
            webhooks => one(webhooks.iter().map(Webhook::show).collect::<Array>()),
        },
    },
    Key {
        path: "log.format",
        kind: Kind::Text,
        doc: "`text` for people, `json` for machines.",
        set: |config, input| {
            store(&mut config.log.format, choice(input.item, &[("text", LogFormat::Text), ("json", LogFormat::Json)]))
        },
        show: |config| one(if config.log.format == LogFormat::Text { "text" } else { "json" }),
    },
    Key {
        path: "log.filter",
        kind: Kind::Text,
        doc: "What is logged: a level, or directives such as `warn,onair_actors=debug`.",
        set: |config, input| store(&mut config.log.filter, log_filter(input.item)),
        show: |config| one(config.log.filter.as_str()),
    },
];

/// Sets what holds for the rooms that a key names.
fn for_rooms<T: Copy, E: Into<Vec<Fault>>>(
    setting: &mut ByRoom<T>,
    input: &Input<'_>,
    read: impl FnOnce(&Item) -> Result<T, E>,
) -> Result<(), Vec<Fault>> {
    let rooms = glob(input.name).map_err(Fault::from)?;
    setting.set_for(rooms, read(input.item).map_err(Into::into)?);
    Ok(())
}

/// Puts a parsed value where it belongs, or hands on what is wrong with it.
fn store<T, E: Into<Vec<Fault>>>(slot: &mut T, parsed: Result<T, E>) -> Result<(), Vec<Fault>> {
    *slot = parsed.map_err(Into::into)?;
    Ok(())
}

fn tls(config: &mut Config) -> &mut Tls {
    config.http.tls.get_or_insert_default()
}

fn microseconds(count: u32) -> Duration {
    Duration::from_micros(count.into())
}

fn milliseconds(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

fn ticket_ttl(item: &Item) -> Result<Duration, Fault> {
    let written = text(item)?;
    let range = Duration::from_secs(60)..=Duration::from_secs(30 * 86_400);
    let ttl = parse_duration(written).filter(|ttl| range.contains(ttl));
    ttl.ok_or_else(|| format!("is \"{written}\", must be a time such as \"12h\", from 1m to 30d").into())
}

fn max_count(item: &Item) -> Result<Option<u32>, Fault> {
    integer(item, 0..=1_000_000).map(unless_0)
}

/// 0 stands for no limit.
fn unless_0(count: u32) -> Option<u32> {
    (count > 0).then_some(count)
}

fn or_0(count: Option<u32>) -> i64 {
    count.unwrap_or_default().into()
}

fn one(value: impl Into<Value>) -> Shown {
    vec![(String::new(), value.into())]
}

fn maybe(value: Option<String>) -> Shown {
    value.into_iter().flat_map(one).collect()
}

fn whole(count: u128) -> i64 {
    i64::try_from(count).expect("durations are at most an hour")
}

fn shown_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn log_filter(item: &Item) -> Result<String, Fault> {
    let directives = text(item)?;
    let parsed = EnvFilter::try_new(directives);
    parsed.map(|_| directives.into()).map_err(|e| format!("is \"{directives}\": {e}").into())
}
