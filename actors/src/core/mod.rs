//! The pure cores of the actors: sessions, routing, fan-out. They compute; the actors around them own mailboxes,
//! timers and sockets. Time is an argument, never asked for.

pub mod backoff;
pub mod cidr;
pub mod demux;
pub mod egress;
pub mod event_log;
pub mod fanout;
pub mod gather;
pub mod gop;
pub mod load;
pub mod meter;
pub mod offer;
pub mod outbox;
pub mod pull;
pub mod pulled;
pub mod quiet;
pub mod runs;
pub mod session;
pub mod srtp;
pub mod throttle;
pub mod wall_clock;
