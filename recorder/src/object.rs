//! Names of stored objects, parsed once into a form that is safe in a bucket, on a disk and in a URL.

use std::fmt;
use std::sync::Arc;

use onair_media::{MediaKind, RecordingId, RoomName};

use crate::cut::{Init, Segment};

/// The longest object name, in bytes; ours have at most 20.
const NAME_MAX_BYTES: usize = 64;

/// Names an object within a recording, such as `recording.json` or `video/000001.m4s`.
///
/// One or two segments of `a-z 0-9 . -`, none beginning with a dot, ending with a suffix we write. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

/// Says that a text is not the name of an object of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an object of a recording")]
pub struct InvalidObjectName;

impl ObjectName {
    /// Parses a name, for example the rest of a URL.
    ///
    /// # Errors
    /// [`InvalidObjectName`] when the shape, a character or the suffix is none of ours.
    pub fn parse(name: &str) -> Result<Self, InvalidObjectName> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        let segment = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
        let shaped = name.len() <= NAME_MAX_BYTES && name.split('/').count() <= 2 && name.split('/').all(segment);
        if !shaped || content_type(name).is_none() {
            return Err(InvalidObjectName);
        }
        Ok(Self(name.into()))
    }

    /// The manifest, `recording.json`: written last, so a recording without it is not complete.
    pub fn manifest() -> Self {
        Self("recording.json".into())
    }

    /// The progressive file, `recording.mp4`.
    pub fn progressive() -> Self {
        Self("recording.mp4".into())
    }

    /// The picture that shows what a recording is about, `poster.jpg`.
    pub fn poster() -> Self {
        Self("poster.jpg".into())
    }

    /// Says what is to be seen when, `storyboard.vtt`.
    pub fn storyboard() -> Self {
        Self("storyboard.vtt".into())
    }

    /// A sheet of small pictures, such as `storyboard-1.jpg`; counts from 1.
    pub fn storyboard_sheet(number: usize) -> Self {
        Self(format!("storyboard-{number}.jpg").into())
    }

    /// Tells whether it is a picture, or tells of pictures.
    pub fn is_picture(&self) -> bool {
        matches!(self.0.rsplit_once('.'), Some((_, "jpg" | "vtt")))
    }

    /// The multivariant playlist, `index.m3u8`.
    pub fn multivariant() -> Self {
        Self("index.m3u8".into())
    }

    /// The media playlist of a rendition, such as `video/index.m3u8`.
    pub fn playlist(kind: MediaKind) -> Self {
        Self(format!("{}/index.m3u8", kind.as_str()).into())
    }

    /// An initialisation segment, such as `video/init-1.mp4`.
    pub fn init(init: &Init) -> Self {
        Self::init_numbered(init.kind, init.index)
    }

    /// The initialisation segment of an index, such as `video/init-1.mp4`.
    pub fn init_numbered(kind: MediaKind, index: u32) -> Self {
        Self(format!("{}/init-{index}.mp4", kind.as_str()).into())
    }

    /// A media segment, such as `video/000001.m4s`.
    pub fn segment(segment: &Segment) -> Self {
        Self::numbered(segment.kind, segment.msn)
    }

    /// The media segment of a number, such as `video/000001.m4s`.
    pub fn numbered(kind: MediaKind, msn: u64) -> Self {
        Self(format!("{}/{msn:06}.m4s", kind.as_str()).into())
    }

    /// Returns rendition and number of a media segment's name.
    pub fn segment_number(&self) -> Option<(MediaKind, u64)> {
        let (kind, file) = self.in_rendition()?;
        Some((kind, file.strip_suffix(".m4s")?.parse().ok()?))
    }

    /// Returns rendition and index of an initialisation segment's name.
    pub fn init_index(&self) -> Option<(MediaKind, u32)> {
        let (kind, file) = self.in_rendition()?;
        Some((kind, file.strip_prefix("init-")?.strip_suffix(".mp4")?.parse().ok()?))
    }

    /// Tells whether it is the name of an initialisation segment.
    pub fn is_init(&self) -> bool {
        self.in_rendition().is_some_and(|(_, file)| file.starts_with("init-"))
    }

    /// Tells whether it is the name of a playlist.
    pub fn is_playlist(&self) -> bool {
        self.0.ends_with(".m3u8")
    }

    fn in_rendition(&self) -> Option<(MediaKind, &str)> {
        let (folder, file) = self.0.split_once('/')?;
        let kind = [MediaKind::Video, MediaKind::Audio].into_iter().find(|kind| kind.as_str() == folder)?;
        Some((kind, file))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the media type to store and serve it with (RFC 8216 §10, RFC 4337 §3).
    pub fn content_type(&self) -> &'static str {
        content_type(&self.0).expect("parsing accepts only suffixes that have one")
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the media type that a suffix stands for; sound in MP4 has its own (RFC 4337 §3).
fn content_type(name: &str) -> Option<&'static str> {
    let (_, suffix) = name.rsplit_once('.')?;
    Some(match suffix {
        "m3u8" => "application/vnd.apple.mpegurl",
        "m4s" | "mp4" if name.starts_with("audio/") => "audio/mp4",
        "m4s" | "mp4" => "video/mp4",
        "json" => "application/json",
        "jpg" => "image/jpeg",
        "vtt" => "text/vtt",
        _ => return None,
    })
}

/// Names an object of one recording of one room.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectPath {
    /// The room.
    pub room: RoomName,
    /// The recording.
    pub recording: RecordingId,
    /// The object.
    pub name: ObjectName,
}

impl ObjectPath {
    /// Puts the names together.
    pub fn new(room: &RoomName, recording: &RecordingId, name: ObjectName) -> Self {
        Self { room: room.clone(), recording: recording.clone(), name }
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.room, self.recording, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_write_are_names() {
        for (good, media_type) in [
            ("recording.json", "application/json"),
            ("index.m3u8", "application/vnd.apple.mpegurl"),
            ("video/000001.m4s", "video/mp4"),
            ("audio/init-1.mp4", "audio/mp4"),
            ("storyboard-1.jpg", "image/jpeg"),
        ] {
            assert_eq!(ObjectName::parse(good).unwrap().content_type(), media_type);
        }
        let long = format!("{}.mp4", "a".repeat(61));
        for bad in [
            "",
            ".",
            "..",
            "/",
            "/recording.json",
            "video/",
            "video//000001.m4s",
            "../recording.json",
            "video/../000001.m4s",
            "video/.hidden.mp4",
            "a/b/c.mp4",
            "recording",
            "recording.exe",
            "Recording.json",
            "video\\000001.m4s",
            "video%2f1.m4s",
            "a\0.mp4",
            ".json",
            long.as_str(),
        ] {
            assert_eq!(ObjectName::parse(bad), Err(InvalidObjectName), "{bad:?}");
        }
    }
}
