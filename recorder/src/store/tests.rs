//! What needs no store that runs; the suite for those that do is `tests/stores`.

use std::collections::BTreeMap;

use onair_media::{RecordingId, RoomName};
use url::Url;

use super::{Store, StoreError, part_bytes};
use crate::object::{ObjectName, ObjectPath};

fn open(url: &str, options: &[(&str, &str)]) -> Result<Store, StoreError> {
    let options = options.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Store::open(&Url::parse(url).unwrap(), &options.collect::<BTreeMap<_, _>>())
}

#[test]
fn what_cannot_be_opened_says_why() {
    assert!(matches!(open("ftp://example.org/", &[]), Err(StoreError::Scheme { .. })));
    let err = open("s3://bucket/prefix", &[("colour", "blue")]).unwrap_err();
    assert_eq!(err.to_string(), "s3:// has no option colour");
    for url in ["memory:///", "file:///never/made"] {
        let refused = open(url, &[("storage_class", "STANDARD_IA")]).unwrap_err();
        assert!(refused.to_string().ends_with(":// has no option storage_class"), "{refused}");
    }
    // It goes into a header, where the library would panic.
    for class in ["", "STANDARD IA", "IA\r\nx-amz-acl: public-read"] {
        let refused = open("s3://bucket/", &[("region", "here"), ("Storage_Class", class)]).unwrap_err();
        assert!(matches!(refused, StoreError::Open { .. }), "{refused}");
    }
}

#[test]
fn a_prefix_stands_before_every_object() {
    let options = [("endpoint", "http://127.0.0.1:9"), ("region", "here"), ("allow_http", "true")];
    let store = open("s3://bucket/some/prefix", &options).unwrap();
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    let name = ObjectName::parse("video/000001.m4s").unwrap();
    let path = store.path(&ObjectPath::new(&RoomName::parse("a").unwrap(), &recording, name));
    assert_eq!(path.as_ref(), "some/prefix/a/20261122T063000Z-7f3a9c/video/000001.m4s");
}

#[test]
fn parts_grow_with_the_file() {
    assert_eq!(part_bytes(1), 8 << 20);
    // 100 GiB in 10,000 parts: 10.24 MiB, so 11.
    assert_eq!(part_bytes(100 << 30), 11 << 20);
}

/// The page shows stores that open, or fail only for a key that is not there.
#[test]
fn the_examples_of_the_page_have_options_that_exist() {
    let page = include_str!("../../../docs/storage.md");
    let mut examples = 0;
    for example in page.split("```toml\n[storage]\n").skip(1) {
        let mut lines = example.lines().take_while(|line| !line.starts_with("```"));
        let url = lines.next().and_then(|line| line.strip_prefix("url = ")).unwrap().trim_matches('"');
        let options = lines.next().unwrap_or("options = {  }");
        let options = options.strip_prefix("options = { ").and_then(|options| options.strip_suffix(" }")).unwrap();
        let option = |option: &'static str| option.split_once(" = ").map(|(key, value)| (key, value.trim_matches('"')));
        let options: Vec<_> = options.split(", ").filter_map(option).collect();
        if url.contains("://") {
            let opened = open(url, &options);
            assert!(matches!(opened, Ok(_) | Err(StoreError::Open { .. })), "{url}: {opened:?}");
        }
        examples += 1;
    }
    assert_eq!(examples, 5);
}
