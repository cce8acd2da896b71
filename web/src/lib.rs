//! HTTP of onair: it speaks requests and responses, and sees nothing of the inside but messages, strings and bytes.

pub mod auth;
pub mod problem;
