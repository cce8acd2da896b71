//! The effective configuration as TOML.

use std::fmt::Write;

use toml_edit::Key as TomlKey;

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

/// Returns the key's path below its section, with the quoted name in place of `*`.
fn within_section(key: &Key, name: &str) -> String {
    let path = key.path.get(key.section().len() + 1..).unwrap_or_default();
    path.replace('*', &TomlKey::new(name).display_repr())
}

fn write_to(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}
