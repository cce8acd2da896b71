//! What the tests share: a server that cannot outlive its test, clients, media, and waiting with a deadline.

mod clients;
mod http;
mod media;
mod offer;
mod receiver;
mod recording;
mod server;
mod sse;
mod wait;

pub(crate) use clients::{bundled_ffmpeg, publish, python};
pub(crate) use http::{Answer, raw_http};
pub(crate) use media::{clip, decode_errors, decode_errors_beside_gaps, probe, top_level_boxes};
pub(crate) use offer::Offer;
pub(crate) use receiver::{Delivery, Receiver, Reply};
pub(crate) use recording::{check_playable, check_whole, finished_recording};
pub(crate) use server::{Server, run_onair};
pub(crate) use sse::{EventStream, Frame};
pub(crate) use wait::{alone, eventually};
