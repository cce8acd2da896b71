//! The effective configuration as TOML.

use std::fmt::Write;

use toml_edit::{Key as TomlKey, Value};

use super::Config;
use super::keys::{KEYS, Key};

impl Config {
    /// Renders the effective configuration as TOML that loads again, each key under its explanation.
    ///
    /// Secrets are masked, and a mask does not load.
    pub(crate) fn to_toml(&self) -> String {
        let mut toml = String::new();
        let mut section = "";
        for key in &KEYS {
            let shown = (key.show)(self);
            if shown.is_empty() {
                continue;
            }
            if key.path == key.section() {
                section = key.section();
                write_tables(&mut toml, key, shown.iter().map(|(_, value)| value));
                continue;
            }
            if key.section() != section {
                let blank_line = if section.is_empty() { "" } else { "\n" };
                section = key.section();
                write_to(&mut toml, format_args!("{blank_line}[{section}]\n"));
            }
            write_to(&mut toml, format_args!("# {}\n", key.doc));
            for (name, value) in shown {
                write_to(&mut toml, format_args!("{} = {}\n", within_section(key, &name), value.to_string().trim()));
            }
        }
        toml
    }
}

/// Writes a list that stands in no section as tables of their own: a plain key would belong to the section before it.
fn write_tables<'a>(toml: &mut String, key: &Key, lists: impl Iterator<Item = &'a Value>) {
    let tables = lists.filter_map(Value::as_array).flatten().filter_map(Value::as_inline_table);
    for (index, table) in tables.enumerate() {
        let explanation = if index == 0 { format!("# {}\n", key.doc) } else { String::new() };
        write_to(toml, format_args!("\n{explanation}[[{}]]\n", key.path));
        for (name, value) in table.iter() {
            write_to(toml, format_args!("{name} = {}\n", value.to_string().trim()));
        }
    }
}

/// Returns the key's path below its section, with the quoted name in place of `*`.
fn within_section(key: &Key, name: &str) -> String {
    let path = key.path.get(key.section().len() + 1..).unwrap_or_default();
    path.replace('*', &TomlKey::new(name).display_repr())
}

fn write_to(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}
