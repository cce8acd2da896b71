//! The actors of onair and the pure cores that they wrap.

pub mod core;
