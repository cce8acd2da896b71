//! What the tests share: a server that cannot outlive its test, clients, media, and waiting with a deadline.

mod certificate;
mod clients;
mod http;
mod media;
mod offer;
mod packets;
mod playlist;
mod proxy;
mod receiver;
mod recording;
mod s3;
mod server;
mod sse;
mod stored;
mod wait;

pub(crate) use certificate::Certificate;
pub(crate) use clients::{Client, bundled_ffmpeg, publish, publish_over_tls, python};
pub(crate) use http::{Answer, raw_http};
pub(crate) use media::{clip, decode_errors, decode_errors_beside_gaps, probe, top_level_boxes};
pub(crate) use offer::Offer;
pub(crate) use packets::{check_unbroken, packets};
pub(crate) use playlist::{Playlist, parse_all};
pub(crate) use proxy::{Fate, Proxy, Request};
pub(crate) use receiver::{Delivery, Receiver, Reply};
pub(crate) use recording::{check_playable, check_whole, finished_recording};
pub(crate) use s3::S3;
pub(crate) use server::{Server, run_onair};
pub(crate) use sse::{EventStream, Frame};
pub(crate) use stored::{Objects, check_stored, gaps, manifest, millis};
pub(crate) use wait::{alone, eventually};
