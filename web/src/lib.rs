//! HTTP of onair: it speaks requests and responses, and sees nothing of the inside but messages, strings and bytes.

pub mod auth;
mod clips;
mod events;
mod guard;
mod health;
mod hls;
pub mod ice_servers;
mod live_mp4;
mod metrics;
mod pages;
pub mod problem;
mod record;
mod recordings;
mod rooms;
pub mod server;
mod signalling;
mod snapshot;
mod sources;
pub mod state;
mod tickets;
