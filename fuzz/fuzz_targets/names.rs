//! Arbitrary text as the names that come in URLs: what is accepted is safe as a path, and stays what it was.

#![no_main]

use libfuzzer_sys::fuzz_target;
use onair_media::{RecordingId, RoomGlob, RoomName};
use onair_recorder::ObjectName;

fuzz_target!(|text: &str| {
    if let Ok(name) = ObjectName::parse(text) {
        assert_eq!(name.as_str(), text);
        assert!(!name.content_type().is_empty());
        assert_safe(text, 2);
    }
    if let Ok(id) = RecordingId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert_safe(text, 1);
    }
    let room = RoomName::parse(text);
    if let Ok(room) = &room {
        assert_safe(text, 1);
        assert!(RoomGlob::any().matches(room));
        assert!(RoomGlob::parse(text).is_ok_and(|glob| glob.matches(room)), "a name is a glob of itself");
    }
    // A glob and a name, one behind the other.
    if let Some((glob, name)) = text.split_once('/')
        && let (Ok(glob), Ok(name)) = (RoomGlob::parse(glob), RoomName::parse(name))
        && glob.matches_all()
    {
        assert!(glob.matches(&name));
    }
});

fn assert_safe(path: &str, depth: usize) {
    assert!(path.split('/').count() <= depth);
    assert!(path.split('/').all(|part| !part.is_empty() && !part.starts_with('.')), "{path}");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\%?#:*".contains(&byte)), "{path}");
}
