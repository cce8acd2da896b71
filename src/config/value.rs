//! Readers of TOML values: each wants one type and says in words what it got instead.

use std::ops::{Range, RangeInclusive};

use toml_edit::{Item, TableLike, Value};

use super::report::Fault;
use super::size::{parse_size, show_size};

/// Reads a text.
pub(crate) fn text(item: &Item) -> Result<&str, Fault> {
    item.as_str().ok_or_else(|| wrong_type(item, "a text"))
}

/// Reads `true` or `false`.
pub(crate) fn boolean(item: &Item) -> Result<bool, Fault> {
    item.as_bool().ok_or_else(|| wrong_type(item, "true or false"))
}

/// Reads a whole number within `range`, whose bounds are those of the unit in the key's name.
pub(crate) fn integer(item: &Item, range: RangeInclusive<u32>) -> Result<u32, Fault> {
    let number = item.as_integer().ok_or_else(|| wrong_type(item, "a whole number"))?;
    let out_of_range = || format!("is {number}, must be {} to {}", range.start(), range.end()).into();
    u32::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(out_of_range)
}

/// Reads a size of at least so many bytes.
pub(crate) fn size(item: &Item, least: u64) -> Result<u64, Fault> {
    let text = text(item)?;
    let bytes = parse_size(text).ok_or_else(|| format!("is \"{text}\", must be a size such as 500MB or 10GiB"))?;
    if bytes < least {
        return Err(format!("is {text}, must be at least {}", show_size(least)).into());
    }
    Ok(bytes)
}

/// Reads one of several words.
pub(crate) fn choice<T: Copy>(item: &Item, choices: &[(&str, T)]) -> Result<T, Fault> {
    let word = text(item)?;
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("is \"{word}\", must be {}", names.join(" or ")).into()
    })
}

/// Reads a list of texts and parses each; collects the mistakes of all of them.
pub(crate) fn list<T>(item: &Item, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Vec<Fault>> {
    let array = item.as_array().ok_or_else(|| wrong_type(item, "a list of texts"))?;
    let mut faults = Vec::new();
    let mut parsed = Vec::with_capacity(array.len());
    for (index, value) in array.iter().enumerate() {
        let element = value.as_str().ok_or_else(|| format!("is {}, must be a text", article(value.type_name())));
        match element.and_then(&parse) {
            Ok(element) => parsed.push(element),
            Err(message) => faults.push(Fault::at(format!("[{index}]"), value.span(), message)),
        }
    }
    if faults.is_empty() { Ok(parsed) } else { Err(faults) }
}

/// Reads a list of tables, written inline or as `[[…]]`, and parses each; collects the mistakes of all of them.
pub(crate) fn tables<T>(
    item: &Item,
    parse: impl Fn(&Fields<'_>) -> Result<T, Vec<Fault>>,
) -> Result<Vec<T>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut parsed = Vec::new();
    for fields in fields_of_each(item)? {
        match fields.map_err(Vec::from).and_then(|fields| parse(&fields)) {
            Ok(element) => parsed.push(element),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(parsed) } else { Err(faults) }
}

fn fields_of_each(item: &Item) -> Result<Vec<Result<Fields<'_>, Fault>>, Fault> {
    if let Some(tables) = item.as_array_of_tables() {
        return Ok(tables
            .iter()
            .enumerate()
            .map(|(index, table)| Ok(Fields::new(index, table.span(), table)))
            .collect());
    }
    let array = item.as_array().ok_or_else(|| wrong_type(item, "a list of tables"))?;
    Ok(array.iter().enumerate().map(|(index, value)| inline_fields(index, value)).collect())
}

fn inline_fields(index: usize, value: &Value) -> Result<Fields<'_>, Fault> {
    match value {
        Value::InlineTable(table) => Ok(Fields::new(index, value.span(), table)),
        other => {
            let message = format!("is {}, must be a table", article(other.type_name()));
            Err(Fault::at(format!("[{index}]"), other.span(), message))
        }
    }
}

/// Gives access to one table of a list, by field name.
pub(crate) struct Fields<'a> {
    /// What follows the key: `[0]`.
    within: String,
    span: Option<Range<usize>>,
    table: &'a dyn TableLike,
}

impl<'a> Fields<'a> {
    fn new(index: usize, span: Option<Range<usize>>, table: &'a dyn TableLike) -> Self {
        Self { within: format!("[{index}]"), span, table }
    }

    /// Returns a field's item, if it was written.
    pub(crate) fn item(&self, name: &str) -> Option<&'a Item> {
        self.table.get(name)
    }

    /// Parses a field, if it was written; a mistake goes to `faults` with its place and counts as absent.
    pub(crate) fn read<T, E: Into<Vec<Fault>>>(
        &self,
        name: &str,
        faults: &mut Vec<Fault>,
        parse: impl FnOnce(&'a Item) -> Result<T, E>,
    ) -> Option<T> {
        let item = self.item(name)?;
        let in_field = |fault: Fault| Fault {
            within: format!("{}.{name}{}", self.within, fault.within),
            span: fault.span.or_else(|| item.span()),
            message: fault.message,
        };
        parse(item).map_err(|wrong| faults.extend(wrong.into().into_iter().map(in_field))).ok()
    }

    /// Blames the whole table.
    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::at(self.within.clone(), self.span.clone(), message)
    }

    /// Lists the fields that are not in `known`, each with the nearest known one.
    pub(crate) fn unknown(&self, known: &[&str]) -> Vec<Fault> {
        let unknown = self.table.iter().filter(|(name, _)| !known.contains(name));
        let fault = |(name, item): (&str, &Item)| {
            let span = self.table.key(name).and_then(toml_edit::Key::span).or_else(|| item.span());
            Fault::at(format!("{}.{name}", self.within), span, unknown_key(name, known.iter().copied()))
        };
        unknown.map(fault).collect()
    }
}

/// Words the mistake of a key that does not exist, with the most similar one that does.
pub(crate) fn unknown_key<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let distance = |known: &str| strsim::damerau_levenshtein(name, known);
    let nearest = known.map(|known| (distance(known), known)).min();
    // A third of the letters wrong is still a slip; more is another word.
    match nearest.filter(|(distance, _)| *distance <= (name.len() / 3).max(2)) {
        Some((_, nearest)) => format!("unknown key, did you mean {nearest}?"),
        None => "unknown key".into(),
    }
}

fn wrong_type(item: &Item, wanted: &str) -> Fault {
    format!("is {}, must be {wanted}", article(item.type_name())).into()
}

fn article(type_name: &str) -> String {
    let vowel = type_name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {type_name}", if vowel { "an" } else { "a" })
}
