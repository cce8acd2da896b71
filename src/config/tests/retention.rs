//! For how long recordings are kept, as it is configured.

use std::time::Duration;

use onair_media::RoomName;
use onair_recorder::RetentionPolicy;

use super::*;

fn policy(config: &Config, room: &str) -> RetentionPolicy {
    config.retention.policy(&RoomName::parse(room).unwrap())
}

#[test]
fn nothing_is_deleted_unless_a_limit_was_set() {
    let config = load(&nothing());
    assert!(!config.retention.is_limited());
    assert_eq!(policy(&config, "lobby"), RetentionPolicy::default());
    let set_to_nothing = load(&file(
        "[record]\nretention = \"forever\"\nretention_max_bytes = \"unlimited\"\nretention_max_count = 0\n",
    ));
    assert_eq!(set_to_nothing, config);
}

#[test]
fn rooms_have_limits_of_their_own_and_share_those_of_one_setting() {
    let config = load(&file(
        r#"
        [record]
        retention = "30d"
        retention_max_bytes = "500GiB"
        [rooms."studio-*"]
        retention_max_count = 10
        retention_max_bytes = "100GB"
        [rooms."studio-1"]
        retention = "forever"
        record = false
        "#,
    ));
    let (lobby, studio_1, studio_2) =
        (policy(&config, "lobby"), policy(&config, "studio-1"), policy(&config, "studio-2"));
    let month = Some(Duration::from_secs(30 * 86_400));
    assert_eq!((lobby.max_age, lobby.max_count), (month, None));
    assert_eq!((studio_1.max_age, studio_1.max_count), (None, Some(10)));
    assert_eq!((studio_2.max_age, studio_2.max_count), (month, Some(10)));
    assert_eq!(studio_1.budget, studio_2.budget);
    let budget = |policy: RetentionPolicy| policy.budget.map(|budget| (budget.name.to_string(), budget.max_bytes));
    assert_eq!(budget(lobby), Some(("all rooms".into(), 500 << 30)));
    assert_eq!(budget(studio_1), Some(("the rooms studio-*".into(), 100_000_000_000)));
    assert!(config.retention.is_limited());
    assert_eq!(load(&file(&config.to_toml())), config);
}

#[test]
fn limits_that_would_delete_everything_are_mistakes() {
    assert_eq!(
        mistakes(&file("[record]\nretention = \"0d\"\nretention_max_bytes = \"10\"\nretention_max_count = -1\n")),
        [
            "onair.toml:2: record.retention: is \"0d\", must be \"forever\" or a time such as \"30d\" or \"12h\"",
            "onair.toml:3: record.retention_max_bytes: is \"10\", must be \"unlimited\" or a size such as \"500GiB\"",
            "onair.toml:4: record.retention_max_count: is -1, must be 0 to 1000000",
        ]
    );
}
