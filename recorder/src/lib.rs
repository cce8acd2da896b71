//! CMAF chunks, playlists, the progressive MP4, manifests, and the store they end up in.

pub mod cut;
