//! Sessions over a simulated bad network, on virtual time: one behaviour a file.

mod support;

mod burst;
mod consent;
mod publisher_repair;
mod viewer_repair;
