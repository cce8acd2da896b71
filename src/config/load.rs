//! Layers: defaults, then the file, then the environment, then flags. The last one to set a key wins.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::{Document, Item, Value};

use super::Config;
use super::check::check;
use super::keys::{Found, Input, KEYS, Kind, find};
use super::report::{Fault, Place, Report};
use super::value::unknown_key;

/// Tells whether the server may be reachable from other machines without any authorisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// It may not.
    Guarded,
    /// `--insecure` was given.
    Insecure,
}

/// A setting of the command line.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// What the user wrote, for the report: `--set` or `--http-listen`.
    pub(crate) name: String,
    /// The dotted key, quoted where TOML wants quotes.
    pub(crate) key: String,
    /// The value; a text needs no quotes.
    pub(crate) value: String,
}

/// Everything a configuration is made of.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    /// The directory in which relative paths begin; absolute.
    pub(crate) dir: PathBuf,
    /// The file's name, for the report, and its text.
    pub(crate) file: Option<(String, String)>,
    /// Environment variables; only those count that begin with `ONAIR_`, and have a double underscore or name a key.
    pub(crate) env: Vec<(String, String)>,
    /// Settings of the command line, in order.
    pub(crate) flags: Vec<Flag>,
    /// Whether `--insecure` was given.
    pub(crate) exposure: Exposure,
}

impl Config {
    /// Reads all layers and checks the result as a whole.
    ///
    /// # Errors
    /// Every mistake in every layer at once. Checks across keys are left out when one of their keys is wrong already.
    pub(crate) fn load(sources: &Sources) -> Result<Self, Report> {
        let mut loader = Loader::new(&sources.dir);
        if let Some((name, text)) = &sources.file {
            loader.read_file(name, text);
        }
        for (variable, text) in &sources.env {
            loader.read_variable(variable, text);
        }
        for flag in &sources.flags {
            loader.read_flag(flag);
        }
        loader.finish(sources.exposure)
    }
}

/// Knows how to point into one layer.
enum Origin<'a> {
    File { name: &'a str, text: &'a str },
    Env(&'a str),
    Flag(&'a str),
}

impl Origin<'_> {
    fn place(&self, span: Option<Range<usize>>) -> Place {
        match self {
            Self::File { name, text } => {
                let before = span.and_then(|span| text.as_bytes().get(..span.start));
                let line = before.map(|before| before.iter().filter(|byte| **byte == b'\n').count() + 1);
                Place::File((*name).into(), line)
            }
            Self::Env(variable) => Place::Env((*variable).into()),
            Self::Flag(flag) => Place::Flag((*flag).into()),
        }
    }
}

/// Where each key was set last, by its path in the table.
pub(super) type Places = BTreeMap<&'static str, Place>;

struct Loader<'a> {
    config: Config,
    dir: &'a Path,
    report: Report,
    places: Places,
    faulty: BTreeSet<&'static str>,
    /// Whether the file is no TOML at all, so that nobody knows what it would have set.
    file_unreadable: bool,
}

impl<'a> Loader<'a> {
    fn new(dir: &'a Path) -> Self {
        Self {
            config: Config::defaults(dir),
            dir,
            report: Report::default(),
            places: Places::new(),
            faulty: BTreeSet::new(),
            file_unreadable: false,
        }
    }

    fn read_file(&mut self, name: &str, text: &str) {
        let origin = Origin::File { name, text };
        match Document::parse(text) {
            Ok(document) => self.read_item(&mut Vec::new(), document.as_item(), None, &origin),
            Err(error) => {
                self.file_unreadable = true;
                // Not the error's Display: that quotes the line, which may hold a secret.
                self.report.add(origin.place(error.span()), "", error.message());
            }
        }
    }

    fn read_variable(&mut self, variable: &str, text: &str) {
        let Some(name) = variable.strip_prefix("ONAIR_") else { return };
        let origin = Origin::Env(variable);
        let mut path: Vec<String> = name.split("__").map(str::to_ascii_lowercase).collect();
        if path.len() == 1 && !matches!(find(&path), Found::Key(..)) {
            return;
        }
        if matches!(find(&path), Found::Unknown) {
            let names: Vec<String> = KEYS.iter().filter_map(super::keys::Key::env_name).collect();
            return self.report.add(origin.place(None), "", unknown_key(variable, names.iter().map(String::as_str)));
        }
        self.read_text(&mut path, text, &origin);
    }

    fn read_flag(&mut self, flag: &Flag) {
        let origin = Origin::Flag(&flag.name);
        match toml_edit::Key::parse(&flag.key) {
            Ok(keys) => {
                let mut path = keys.iter().map(|key| key.get().to_owned()).collect();
                self.read_text(&mut path, &flag.value, &origin);
            }
            Err(_) => self.report.add(origin.place(None), flag.key.as_str(), "is not a dotted key"),
        }
    }

    /// Reads a value that came without a type: the key says which one to expect.
    fn read_text(&mut self, path: &mut Vec<String>, text: &str, origin: &Origin<'_>) {
        let kind = match find(path) {
            Found::Key(key, _) => Some(key.kind),
            Found::Section => None,
            Found::Unknown => return self.report.add(origin.place(None), dotted(path), nearest(path)),
        };
        let parsed = || text.trim().parse::<Value>();
        let value = match kind {
            Some(Kind::Text) if !text.starts_with(['"', '\'']) => Ok(text.into()),
            Some(Kind::Texts) if !text.trim_start().starts_with('[') => Ok(texts(text)),
            _ => parsed(),
        };
        match value {
            Ok(value) => self.read_item(path, &Item::Value(value), None, origin),
            Err(_) => self.report.add(origin.place(None), dotted(path), "is not a TOML value of the type wanted here"),
        }
    }

    /// Reads everything below a path in the order in which it was written: the last of several rules for a room wins.
    fn read_item(&mut self, path: &mut Vec<String>, item: &Item, at: Option<Range<usize>>, origin: &Origin<'_>) {
        let mut entries = Vec::new();
        gather(path, item, at, &mut entries);
        entries.sort_by_key(|entry| entry.item.span().map(|span| span.start));
        entries.into_iter().for_each(|entry| self.read_entry(entry, origin));
    }

    fn read_entry(&mut self, Entry { path, item, at }: Entry<'_>, origin: &Origin<'_>) {
        let at = at.or_else(|| item.span());
        match find(&path) {
            Found::Key(key, name) => {
                let place = origin.place(at.clone());
                match (key.set)(&mut self.config, &Input { item, name, dir: self.dir }) {
                    Ok(()) => drop(self.places.insert(key.path, place)),
                    Err(faults) => {
                        self.faulty.insert(key.path);
                        self.blame(&path, faults, item.span().or(at), origin);
                    }
                }
            }
            Found::Section => self.report.add(origin.place(at), dotted(&path), "must be a table"),
            Found::Unknown => self.report.add(origin.place(at), dotted(&path), nearest(&path)),
        }
    }

    fn blame(&mut self, path: &[String], faults: Vec<Fault>, at: Option<Range<usize>>, origin: &Origin<'_>) {
        for Fault { within, span, message } in faults {
            let place = origin.place(span.or_else(|| at.clone()));
            self.report.add(place, dotted(path) + &within, message);
        }
    }

    fn finish(mut self, exposure: Exposure) -> Result<Config, Report> {
        let listen_unknown = self.faulty.contains("media.listen") || self.faulty.contains("http.listen");
        if !self.places.contains_key("media.listen") && !listen_unknown {
            self.config.media.listen = self.config.http.listen;
        }
        if !self.file_unreadable {
            check(&self.config, exposure, &self.places, &self.faulty, &mut self.report);
        }
        self.report.or_ok(self.config)
    }
}

/// A value, or what stands where none can.
struct Entry<'i> {
    path: Vec<String>,
    item: &'i Item,
    /// Where its name stands.
    at: Option<Range<usize>>,
}

/// Collects what stands below a path, down to keys and to what is no table of keys.
fn gather<'i>(path: &mut Vec<String>, item: &'i Item, at: Option<Range<usize>>, entries: &mut Vec<Entry<'i>>) {
    let is_section = path.is_empty() || matches!(find(path), Found::Section);
    let Some(table) = item.as_table_like().filter(|_| is_section) else {
        return entries.push(Entry { path: path.clone(), item, at });
    };
    for (name, inner) in table.iter() {
        path.push(name.into());
        gather(path, inner, table.key(name).and_then(toml_edit::Key::span), entries);
        path.pop();
    }
}

/// Splits `a, b` into a list; an empty text is an empty list.
fn texts(text: &str) -> Value {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect::<toml_edit::Array>().into()
}

/// Writes a path as TOML does, with quotes where they are needed.
fn dotted(path: &[String]) -> String {
    let segments: Vec<String> = path.iter().map(|name| toml_edit::Key::new(name).display_repr().into_owned()).collect();
    segments.join(".")
}

/// Words the mistake of an unknown path: compared with whole paths, or with sections if it may be one.
fn nearest(path: &[String]) -> String {
    let written = path.join(".");
    let paths = KEYS.iter().map(|key| key.path);
    match path.len() {
        1 => unknown_key(&written, paths.chain(KEYS.iter().map(|key| key.section()))),
        _ => unknown_key(&written, paths),
    }
}
