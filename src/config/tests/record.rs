//! What is recorded, as it is configured.

use std::time::Duration;

use onair_actors::shared::RecordRule;
use onair_media::RoomName;

use super::*;

fn rule(config: &Config, room: &str) -> RecordRule {
    config.record.rule(&RoomName::parse(room).unwrap())
}

#[test]
fn rooms_are_recorded_by_rules_of_their_own() {
    let config = load(&file(
        r#"
        [record]
        max_duration = "12h"
        [rooms."radio-*"]
        record_audio_only = true
        record_max_duration = "1h"
        record_max_bytes = "4GB"
        [rooms."radio-1"]
        record = false
        record_mp4 = false
        record_max_duration = "unlimited"
        "#,
    ));
    let hours = |hours: u64| Some(Duration::from_secs(hours * 3_600));
    let everything =
        RecordRule { record: true, mp4: true, audio_only: false, max_duration: hours(12), max_bytes: None };
    assert_eq!(rule(&config, "lobby"), everything);
    let radio = RecordRule { audio_only: true, max_duration: hours(1), max_bytes: Some(4_000_000_000), ..everything };
    assert_eq!(rule(&config, "radio-2"), radio);
    assert_eq!(rule(&config, "radio-1"), RecordRule { record: false, mp4: false, max_duration: None, ..radio });
    assert_eq!(load(&file(&config.to_toml())), config);
}

#[test]
fn a_recording_must_have_room_for_something() {
    assert_eq!(
        mistakes(&file("[record]\nmax_duration = \"1s\"\nmax_bytes = \"10\"\n")),
        [
            "onair.toml:2: record.max_duration: is \"1s\", must be \"unlimited\" or a time such as \"1h\", at least 10s",
            "onair.toml:3: record.max_bytes: is \"10\", must be \"unlimited\" or a size such as \"4GB\", at least 1MiB",
        ]
    );
}
