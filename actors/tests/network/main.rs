//! Sessions over a simulated bad network, on virtual time: one behaviour a file.

mod support;

mod burst;
mod consent;
mod hostile;
mod instant_start;
mod publisher_repair;
mod restart;
mod roll_over;
mod viewer_repair;
