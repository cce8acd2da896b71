//! The actors of onair and the pure cores that they wrap.
//!
//! Actors own mailboxes, timers and sockets; [`core`] and the inner crates compute. Media goes by `try_send` into
//! bounded mailboxes, control by `send`, signals that may be lost by `do_send`.

pub mod archive;
pub mod core;
pub mod directory;
pub mod events;
pub mod gallery;
pub mod limits;
pub mod live_window;
pub mod load;
mod mailbox;
pub mod media_socket;
pub mod observe;
pub mod packager;
pub mod patch;
pub mod peer;
pub mod pictures;
pub mod recorder;
pub mod recovery;
pub mod relay;
pub mod retention;
pub mod room;
pub mod room_manager;
pub mod session_id;
pub mod shared;
pub mod spool_watch;
pub mod udp;
pub mod uploader;
pub mod webhook;
