//! The pure cores of the actors: sessions, routing, fan-out. They compute; the actors around them own mailboxes,
//! timers and sockets. Time is an argument, never asked for.

pub mod backoff;
pub mod best_encoding;
pub mod demux;
pub mod egress;
pub mod encodings;
pub mod event_log;
pub mod fanout;
pub mod gather;
pub mod gop;
pub mod layers;
pub mod load;
pub mod meter;
pub mod offer;
pub mod outbox;
pub mod quiet;
pub mod report;
pub mod runs;
pub mod session;
pub mod srtp;
pub mod throttle;
pub mod wall_clock;
