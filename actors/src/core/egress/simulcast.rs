//! One viewer among the encodings of a publisher: which one it gets, when that changes, and what is sent to find out.

use std::time::{Duration, Instant};

use onair_media::EncodingId;

use super::buffer::SendBuffer;
use super::feedback::Link;
use super::log::PacketLog;
use super::logs::Logs;
use super::track::{Turn, Wire};
use super::viewer::Egress;
use crate::core::layers::Rung;

/// How often the choice is looked at.
const CHOOSE_EVERY: Duration = Duration::from_millis(100);

/// How long ago a keyframe may have begun at which a viewer changes over: what came since then goes out at once.
const FRESH: Duration = Duration::from_millis(250);

/// The most that a probe sends at once is what it sends in this time: a burst of its own would tell of a link that is not full.
const PROBE_BURST: Duration = Duration::from_millis(100);

/// But so much is saved up in any case: a packet.
const PROBE_BYTES_MIN: u64 = 1500;

/// From how many of the packets that went out last a probe is made, and of how many at a time.
const PROBE_PACKETS: u64 = 32;
const PROBE_DATAGRAMS: usize = 64;

impl Egress {
    /// Looks at the choice, if it is time.
    pub(super) fn choose(&mut self, logs: &Logs, now: Instant) {
        if self.chosen_of != logs.source() {
            (self.chosen_of, self.chosen_at) = (logs.source(), None);
            self.layers.restart();
        }
        let since = self.chosen_at.map(|at| now.saturating_duration_since(at));
        if since.is_some_and(|since| since < CHOOSE_EVERY) {
            return;
        }
        self.chosen_at = Some(now);
        let mut rungs = [Rung::default(); EncodingId::COUNT];
        let mut count = 0;
        for (encoding, of) in logs.encodings().ranked() {
            rungs[count] = Rung { encoding, bitrate_bps: of.bitrate_bps() };
            count += 1;
        }
        let rungs = &mut rungs[..count];
        rungs.reverse();
        if rungs.len() > 1 {
            self.link.get_or_insert_with(|| Link::new(now));
        }
        if let Some(chosen) = self.layers.choose(rungs, now).filter(|chosen| *chosen != self.wanted) {
            (self.wanted, self.asked_at) = (chosen, None);
        }
        if self.wanted == self.encoding {
            self.layers.arrived(now);
        }
    }

    /// Tells whether it is time to look at the choice: another encoding may have come, or this one have stopped.
    pub(super) fn is_choice_due(&self, logs: &Logs) -> bool {
        let since =
            self.chosen_at.zip(logs.newest_at()).map(|(chosen, newest)| newest.saturating_duration_since(chosen));
        self.video.is_some() && since.is_some_and(|since| since >= CHOOSE_EVERY)
    }

    /// Tells whether the viewer is to get another encoding and can begin with it.
    pub(super) fn may_change(&self, logs: &Logs) -> bool {
        let Some(video) = self.video.as_ref().filter(|_| self.wanted != self.encoding) else { return false };
        !video.numbering.is_running() || fresh_keyframe(logs.video(self.wanted), video.numbering.newest_at()).is_some()
    }

    /// Changes over to the wanted encoding where a keyframe of it begins; at once, if there is no picture anyway.
    pub(super) fn change_encoding(&mut self, turn: &Turn<'_>) {
        let Some(video) = self.video.as_mut().filter(|_| self.wanted != self.encoding) else { return };
        let log = turn.logs.video(self.wanted);
        if video.numbering.is_running() {
            let Some(keyframe) = fresh_keyframe(log, video.numbering.newest_at()) else { return };
            video.next = keyframe;
        } else {
            video.next = log.end();
        }
        video.numbering.skip();
        (self.encoding, self.catching_up) = (self.wanted, None);
    }

    /// Gives a probe what it may send by now.
    fn earn_probe(&mut self, now: Instant) {
        let bps = self.layers.probe_bps();
        if bps == 0 {
            (self.probe_bytes, self.probed_at) = (0, None);
            return;
        }
        let passed = self.probed_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)).min(PROBE_BURST);
        let most = bytes_in(bps, PROBE_BURST).max(PROBE_BYTES_MIN);
        self.probe_bytes = (self.probe_bytes + bytes_in(bps, passed)).min(most);
        self.probed_at = Some(now);
    }

    /// Sends again what went out last, as a probe of the link.
    pub(super) fn probe(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) {
        self.earn_probe(turn.now);
        let Some(video) = self.video.as_mut().filter(|video| self.probe_bytes > 0 && video.numbering.is_running())
        else {
            return;
        };
        let log = turn.logs.video(self.encoding);
        let mut extensions = video.extensions(turn, self.link.is_some());
        let mut wire = Wire { protector: &self.protector, link: self.link.as_mut(), now: turn.now };
        let newest = log.begin().max(video.next.saturating_sub(PROBE_PACKETS))..video.next;
        for entry in newest.rev().cycle().take(PROBE_DATAGRAMS).filter_map(|number| log.get(number)) {
            let bytes = entry.packet.payload.len() as u64;
            if bytes > self.probe_bytes {
                return;
            }
            let Some(numbered) = video.numbering.as_sent_last(entry.source, &entry.packet) else { continue };
            if !video.write_rtx(entry, numbered, &mut extensions, &mut wire, out) {
                return;
            }
            self.probe_bytes -= bytes;
        }
    }
}

/// Returns the newest keyframe, if it began just now, and not before what the viewer has seen: time would have to go back.
fn fresh_keyframe(log: &PacketLog, seen: Option<Instant>) -> Option<u64> {
    let keyframe = log.keyframe()?;
    let began = log.get(keyframe)?.packet.received_at;
    let age = log.newest()?.packet.received_at.saturating_duration_since(began);
    let is_new = seen.is_none_or(|seen| began >= seen);
    (is_new && age <= FRESH).then_some(keyframe)
}

fn bytes_in(bps: u64, time: Duration) -> u64 {
    bps.saturating_mul(time.as_millis() as u64) / 8_000
}
