//! `/metrics`: what an operator watches, in the text format of Prometheus (version 0.0.4).
//!
//! Nothing here has a label whose values a client chooses: the names of rooms would make a series each.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use onair_actors::observe::Observe;
use onair_actors::packager::RecordingState;
use onair_actors::room::{RoomDescription, RoomState};
use onair_recorder::Pressure;
use onair_recorder::spool::SpaceState;
use serde_json::Value;

use crate::auth::Right;
use crate::guard::authorize;
use crate::problem::Problem;
use crate::rooms::describe_all;
use crate::server::readable;
use crate::state::{AppState, ask};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4";

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(readable("/metrics").route(web::get().to(get)));
}

async fn get(request: HttpRequest, state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    authorize(&request, &state, Right::View, None)?;
    let rooms = describe_all(&state).await?;
    let uploader = ask(&state.uploader, Observe).await?;
    let mut page = Page::default();
    show_rooms(&mut page, &rooms);
    show_spool(&mut page, &state.spool.space());
    show_uploads(&mut page, &uploader);
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).insert_header((CACHE_CONTROL, "no-store")).body(page.0))
}

/// What is on air, and what becomes of it.
fn show_rooms(page: &mut Page, rooms: &[RoomDescription]) {
    let states = [(RoomState::Idle, "idle"), (RoomState::Live, "live"), (RoomState::Reconnecting, "reconnecting")];
    let of_state = |(state, name)| (name, rooms.iter().filter(|room| room.state == state).count());
    page.family("onair_rooms", Kind::Gauge, "Rooms in use.", "state", states.map(of_state));
    let (whep, hls) = rooms.iter().fold((0, 0), |(whep, hls), it| (whep + it.viewers.whep, hls + it.viewers.hls));
    page.family("onair_viewers", Kind::Gauge, "Who watches.", "protocol", [("whep", whep), ("hls", hls)]);
    let states = [
        (RecordingState::Starting, "starting"),
        (RecordingState::Recording, "recording"),
        (RecordingState::Finishing, "finishing"),
        (RecordingState::Failed, "failed"),
        (RecordingState::Unavailable, "unavailable"),
    ];
    let of_state = |(state, name)| (name, rooms.iter().filter(|room| room.recording.state == state).count());
    page.family("onair_recordings", Kind::Gauge, "What becomes of broadcasts.", "state", states.map(of_state));
}

/// How much waits for the store, and what that leads to.
fn show_spool(page: &mut Page, space: &SpaceState) {
    page.single("onair_spool_used_bytes", Kind::Gauge, "Media that waits for the store.", space.used_bytes);
    page.single("onair_spool_max_bytes", Kind::Gauge, "The most that may wait.", space.max_bytes);
    page.single("onair_spool_free_bytes", Kind::Gauge, "What the disk of the spool has left.", space.free_bytes);
    let help = "Files let go before their time, for the store had them.";
    page.single("onair_spool_evicted_files_total", Kind::Counter, help, space.evicted);
    let states = [(Pressure::Refusing, "refusing"), (Pressure::Dropping, "dropping")];
    let is_so = |(state, name)| (name, u8::from(space.pressure == state));
    let help = "1 while no new recording begins, or recordings get gaps.";
    page.family("onair_spool_pressure", Kind::Gauge, help, "state", states.map(is_so));
}

/// How the store takes it.
fn show_uploads(page: &mut Page, uploader: &Value) {
    let series = [
        ("waiting", "onair_uploads_waiting", Kind::Gauge, "Objects and parts that are not stored yet."),
        ("stored", "onair_uploads_stored_total", Kind::Counter, "Objects and parts that the store has confirmed."),
        ("stored_bytes", "onair_uploads_stored_bytes_total", Kind::Counter, "How much that was."),
        ("failed_attempts", "onair_uploads_failed_attempts_total", Kind::Counter, "Attempts that failed."),
        ("given_up", "onair_uploads_given_up_total", Kind::Counter, "Objects that will not be in the store."),
    ];
    for (member, name, kind, help) in series {
        page.single(name, kind, help, uploader[member].as_u64().unwrap_or_default());
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// A page of the text format.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }

    /// One metric for each value of a label; values are words of ours, without a character to escape.
    fn family<V: Display>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.head(name, kind, help);
        let sorted: BTreeMap<_, _> = values.into_iter().collect();
        for (word, value) in sorted {
            self.line(format_args!("{name}{{{label}=\"{word}\"}} {value}"));
        }
    }

    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes any text");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_the_text_format() {
        let mut page = Page::default();
        page.single("onair_spool_used_bytes", Kind::Gauge, "Media that waits.", 7_u64);
        page.family("onair_viewers", Kind::Gauge, "Who watches.", "protocol", [("whep", 2), ("hls", 3)]);
        let expected = "# HELP onair_spool_used_bytes Media that waits.\n# TYPE onair_spool_used_bytes gauge\n\
            onair_spool_used_bytes 7\n\
            # HELP onair_viewers Who watches.\n# TYPE onair_viewers gauge\n\
            onair_viewers{protocol=\"hls\"} 3\nonair_viewers{protocol=\"whep\"} 2\n";
        assert_eq!(page.0, expected);
    }

    #[test]
    fn pressure_is_seen() {
        let space = |pressure| SpaceState { used_bytes: 9, max_bytes: 10, free_bytes: 1, evicted: 2, pressure };
        for (pressure, refusing, dropping) in
            [(Pressure::None, 0, 0), (Pressure::Refusing, 1, 0), (Pressure::Dropping, 0, 1)]
        {
            let mut page = Page::default();
            show_spool(&mut page, &space(pressure));
            for (state, value) in [("refusing", refusing), ("dropping", dropping)] {
                let line = format!("onair_spool_pressure{{state=\"{state}\"}} {value}\n");
                assert!(page.0.contains(&line), "{}", page.0);
            }
        }
    }
}
