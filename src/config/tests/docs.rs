//! docs/configuration.md says what the table of keys says.

use std::fmt::Write;
use std::fs;

use super::*;
use crate::config::keys::{KEYS, Key};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

/// Renders the table of the page, with the defaults of a server that runs in `/srv/onair`.
fn table_of_keys() -> String {
    let defaults = load(&nothing());
    let mut table = String::from("| key | default | environment | meaning |\n| --- | --- | --- | --- |\n");
    for Key { path, doc, show, .. } in &KEYS {
        let default = show(&defaults).first().map_or_else(|| "–".into(), |(_, value)| format!("`{value}`"));
        let key = KEYS.iter().find(|key| key.path == *path).unwrap();
        let variable = key.env_name().map_or_else(|| "–".into(), |name| format!("`{name}`"));
        writeln!(table, "| `{path}` | {default} | {variable} | {doc} |").unwrap();
    }
    table
}

#[test]
fn the_page_has_the_table_of_keys() {
    let (page, table) = (fs::read_to_string(PAGE).unwrap(), table_of_keys());
    assert!(page.contains(&table), "docs/configuration.md should contain this table:\n{table}");
}

#[test]
fn the_example_of_the_page_loads() {
    let page = fs::read_to_string(PAGE).unwrap();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    load(&file(example));
}

#[test]
fn keys_of_one_section_stand_together_and_once() {
    let mut sections: Vec<&str> = KEYS.iter().map(Key::section).collect();
    sections.dedup();
    let in_order = sections.clone();
    sections.sort_unstable();
    sections.dedup();
    assert_eq!(sections.len(), in_order.len(), "{in_order:?}");
}
