//! The tests from outside: the built program, real clients, and nothing of its insides.
//!
//! One behaviour a file. What they need beside a Rust toolchain (media files, a Python environment, ffmpeg)
//! `make test` brings; without it they fail and say so.

mod support;

mod aiortc;
mod auth;
mod bad_input;
mod bad_media;
mod chaos;
mod clips;
mod config_cli;
mod events;
mod ffmpeg_whip;
mod full_disk;
mod gstreamer;
mod hls;
mod http2;
mod irregular;
mod limits;
mod live_mp4;
mod llhls;
mod load;
mod pictures;
mod publish_record;
mod purity;
mod reconnect;
mod record_rules;
mod recordings_api;
mod retention;
mod rooms;
mod s3;
mod shutdown;
mod srtp_profiles;
mod store_faults;
mod tickets;
mod verify;
mod whep;
mod whip_offers;
mod whip_sessions;
mod workers;
