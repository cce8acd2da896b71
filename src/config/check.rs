//! Checks across keys: what each value alone cannot tell.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use super::load::{Exposure, Places};
use super::report::{Place, Report};
use super::{AuthMode, Config};

/// Adds to `report` what does not fit together. A check is left out when one of its keys is in `faulty`.
pub(super) fn check(
    config: &Config,
    exposure: Exposure,
    places: &Places,
    faulty: &BTreeSet<&'static str>,
    report: &mut Report,
) {
    let mut check = Check { config, places, faulty, report };
    check.tls();
    check.hls();
    check.tokens();
    if exposure == Exposure::Guarded {
        check.exposure();
    }
}

struct Check<'a> {
    config: &'a Config,
    places: &'a Places,
    faulty: &'a BTreeSet<&'static str>,
    report: &'a mut Report,
}

impl Check<'_> {
    fn sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.faulty.contains(key))
    }

    /// Blames `keys[0]`, at the place of the first of the keys that was set anywhere.
    fn add(&mut self, keys: &[&str], message: String) {
        let place = keys.iter().find_map(|key| self.places.get(key)).unwrap_or(&Place::Default);
        self.report.add(place.clone(), keys.first().copied().unwrap_or_default(), message);
    }

    fn tls(&mut self) {
        let Some(tls) = &self.config.http.tls else { return };
        if !self.sound(&["http.tls.cert", "http.tls.key"]) {
            return;
        }
        let pairs = [("http.tls.cert", &tls.cert, "http.tls.key"), ("http.tls.key", &tls.key, "http.tls.cert")];
        for (key, path, other) in pairs {
            if path == Path::new("") {
                self.add(&[key, other], format!("is missing: {other} needs it"));
            } else if !path.is_file() {
                self.add(&[key], format!("there is no file {}", path.display()));
            }
        }
    }

    fn hls(&mut self) {
        let hls = &self.config.hls;
        let (segment_ms, part_ms) = (hls.segment.as_millis(), hls.part.as_millis());
        if hls.part > hls.segment && self.sound(&["hls.part_ms", "hls.segment_ms"]) {
            let message = format!("is {part_ms}, must be at most hls.segment_ms, which is {segment_ms}");
            self.add(&["hls.part_ms", "hls.segment_ms"], message);
        }
        // A live playlist keeps at least three target durations (RFC 8216 §6.2.2).
        let shortest = hls.segment * 3;
        if hls.window < shortest && self.sound(&["hls.window_s", "hls.segment_ms"]) {
            let (window_s, shortest_s) = (hls.window.as_secs(), shortest.as_millis().div_ceil(1000));
            let message = format!("is {window_s}, must be at least three segments, which is {shortest_s}");
            self.add(&["hls.window_s", "hls.segment_ms"], message);
        }
    }

    fn tokens(&mut self) {
        if !self.sound(&["auth.mode", "auth.tokens"]) {
            return;
        }
        match (self.config.auth.mode, self.config.auth.tokens.is_empty()) {
            (AuthMode::Token, true) => {
                let message = "is \"token\", and there is no [[auth.tokens]]: nobody could do anything";
                self.add(&["auth.mode"], message.into());
            }
            (AuthMode::None, false) => {
                let message = "has no effect while auth.mode is \"none\"; set auth.mode = \"token\"";
                self.add(&["auth.tokens"], message.into());
            }
            _ => {}
        }
    }

    /// Refuses to serve other machines without any authorisation.
    fn exposure(&mut self) {
        let keys = ["auth.mode", "http.listen", "media.listen"];
        if self.config.auth.mode != AuthMode::None || !self.sound(&keys) {
            return;
        }
        let listens = [("http.listen", self.config.http.listen), ("media.listen", self.config.media.listen)];
        let exposed = |(_, address): &(&str, SocketAddr)| !address.ip().to_canonical().is_loopback();
        let Some((key, address)) = listens.into_iter().find(exposed) else { return };
        let message = format!(
            "is {address}, which other machines reach, while auth.mode = \"none\" lets everybody do everything: \
             set auth.mode = \"token\" with [[auth.tokens]], or start with --insecure"
        );
        self.add(&[key], message);
    }
}
