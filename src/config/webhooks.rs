//! The entries of `[[webhooks]]`.

use std::collections::HashSet;

use onair_actors::webhook::HookUrl;
use onair_media::RoomGlob;
use onair_recorder::Interest;
use onair_recorder::event::EventPattern;
use toml_edit::{Array, InlineTable, Item, Value};
use url::Url;

use super::entries::glob;
use super::report::Fault;
use super::secret::{MASK, Secret};
use super::storage::secret;
use super::value::{Fields, list, tables, text};

/// The most webhooks: each costs a task, a directory and up to 10,000 files.
const MOST: usize = 32;

/// A receiver of events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Webhook {
    /// Where it is; no other webhook has the same.
    pub(crate) url: HookUrl,
    /// What its events are signed with.
    pub(crate) secret: Secret,
    /// Which events it gets.
    pub(crate) interest: Interest,
}

impl Webhook {
    /// Reads the list of webhooks.
    pub(crate) fn read_all(item: &Item) -> Result<Vec<Self>, Vec<Fault>> {
        let webhooks = tables(item, |fields| Self::read(fields).map(|webhook| (webhook, place(fields))))?;
        if webhooks.len() > MOST {
            return Err(Fault::from(format!("has {} entries, must be at most {MOST}", webhooks.len())).into());
        }
        // What waits for a receiver is kept under its URL.
        let mut seen = HashSet::new();
        let twice = webhooks.iter().filter(|(webhook, _)| !seen.insert(webhook.url.clone()));
        let faults: Vec<_> = twice.map(|(_, again)| again.clone()).collect();
        if faults.is_empty() { Ok(webhooks.into_iter().map(|(webhook, _)| webhook).collect()) } else { Err(faults) }
    }

    fn read(fields: &Fields<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = fields.unknown(&["url", "secret", "events", "rooms"]);
        let url = fields.read("url", &mut faults, hook_url);
        let secret = fields.read("secret", &mut faults, secret);
        let types = fields.read("events", &mut faults, |item| list(item, pattern));
        let rooms = fields.read("rooms", &mut faults, |item| glob(text(item)?).map_err(Fault::from));
        for (name, missing) in [("url", fields.item("url").is_none()), ("secret", fields.item("secret").is_none())] {
            if missing {
                faults.push(fields.fault(format!("needs {name}")));
            }
        }
        match (url, secret) {
            _ if types.as_ref().is_some_and(Vec::is_empty) => {
                faults.push(fields.fault("hears nothing: events is empty"))
            }
            (Some(url), Some(secret)) if faults.is_empty() => {
                let interest = Interest { rooms: rooms.unwrap_or_else(RoomGlob::any), types };
                return Ok(Self { url, secret, interest });
            }
            _ => {}
        }
        Err(faults)
    }

    /// Renders what [`Self::read_all`] reads, the secret and what may be secret of the URL masked.
    pub(crate) fn show(&self) -> Value {
        let mut table = InlineTable::new();
        table.insert("url", self.url.to_string().into());
        table.insert("secret", MASK.into());
        if let Some(types) = &self.interest.types {
            table.insert("events", types.iter().map(ToString::to_string).collect::<Array>().into());
        }
        table.insert("rooms", self.interest.rooms.as_str().into());
        table.into()
    }
}

/// Remembers where a webhook stands, for the case that another one has its URL.
fn place(fields: &Fields<'_>) -> Fault {
    fields.fault("has the url of another webhook: what waits for a receiver is kept under its url")
}

/// Reads a URL, which the message does not repeat: it may hold a password.
fn hook_url(item: &Item) -> Result<HookUrl, Fault> {
    let Ok(url) = Url::parse(text(item)?) else {
        return Err("is not a URL, must look like \"https://example.org/hook\"".to_owned().into());
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("has the scheme {}, must be http or https", url.scheme()).into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or password in it; a receiver knows our events by their signature".to_owned().into());
    }
    if url.path().ends_with(MASK) {
        return Err("is the mask of a printed configuration, not the url".to_owned().into());
    }
    Ok(HookUrl::new(url))
}

fn pattern(text: &str) -> Result<EventPattern, String> {
    EventPattern::parse(text).map_err(|rule| format!("is \"{text}\", {rule}"))
}
