//! The program `onair`.

#[cfg(test)]
mod config;

fn main() {}
