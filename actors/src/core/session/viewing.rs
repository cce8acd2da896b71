//! The session's side of a viewer's media plane: hands over keys and numbers, passes on what the viewer reports.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use onair_media::MediaKind;
use str0m::rtp::Extension;
use str0m::rtp::rtcp::{ReceptionReport, Rtcp};

use super::arrivals::Arrivals;
use super::key_tap::KeySlot;
use super::{Check, EndReason, Mids, Output, Session};
use crate::core::egress::{Egress, EgressOrder, EgressSettings, TrackSettings};

/// The most packets that are named as missing at a time: as many as are kept for a moment of the highest bitrate.
const NACK_MAX_PACKETS: usize = 512;

/// More lost packets than this, of 256, say that a link is full.
const LOSS_MAX: u8 = 26;

/// How often a viewer's wish for a keyframe is passed on at most: browsers repeat it five times a second.
const KEYFRAME_WISHES_APART: Duration = Duration::from_millis(100);

/// How long after its last check an address counts as alive: browsers check each 2.5 s.
const PATH_ALIVE: Duration = Duration::from_secs(6);

/// The most nominated addresses that are remembered; a browser has a handful.
const PATHS_MAX: usize = 16;

/// What a viewer's media plane needs of the session.
#[derive(Debug)]
pub(super) struct Viewing {
    keys: KeySlot,
    seed: [u8; 12],
    tracks: Vec<TrackSettings>,
    /// Where media goes, once that is known.
    destination: Option<SocketAddr>,
    /// The nominated addresses, each with its priority and its last check.
    paths: Vec<Path>,
    /// What the viewer reported and nobody was told yet: many reports make one message.
    missing: Vec<u16>,
    arrivals: Arrivals,
    is_lossy: bool,
    wants_keyframe: bool,
    keyframe_asked_at: Option<Instant>,
    is_redirected: bool,
    is_attached: bool,
    /// The tracks on which the viewer has reported.
    known: Vec<MediaKind>,
}

/// An address that the viewer nominated.
#[derive(Debug, Clone, Copy)]
struct Path {
    address: SocketAddr,
    priority: u32,
    checked_at: Instant,
}

impl Viewing {
    pub(super) const fn new(keys: KeySlot, seed: [u8; 12], now: Instant) -> Self {
        Self {
            keys,
            seed,
            tracks: Vec::new(),
            destination: None,
            paths: Vec::new(),
            missing: Vec::new(),
            arrivals: Arrivals::new(now),
            is_lossy: false,
            wants_keyframe: false,
            keyframe_asked_at: None,
            is_redirected: false,
            is_attached: false,
            known: Vec::new(),
        }
    }

    /// Returns what is to be passed on, once everything that came together has been looked at.
    pub(super) fn take_feedback(&mut self) -> Option<Output> {
        if std::mem::take(&mut self.is_redirected)
            && let Some(destination) = self.destination
        {
            return Some(Output::Egress(EgressOrder::Redirect(destination)));
        }
        if !self.missing.is_empty() {
            return Some(Output::Egress(EgressOrder::Resend(std::mem::take(&mut self.missing))));
        }
        if let Some(arrivals) = self.arrivals.take() {
            return Some(Output::Egress(EgressOrder::Arrivals(arrivals)));
        }
        if std::mem::take(&mut self.is_lossy) {
            return Some(Output::Egress(EgressOrder::Lossy));
        }
        std::mem::take(&mut self.wants_keyframe).then_some(Output::Egress(EgressOrder::KeyframeWanted))
    }

    fn want_keyframe(&mut self, now: Instant) {
        let is_early = |asked: Instant| now.saturating_duration_since(asked) < KEYFRAME_WISHES_APART;
        if !self.keyframe_asked_at.is_some_and(is_early) {
            (self.wants_keyframe, self.keyframe_asked_at) = (true, Some(now));
        }
    }

    /// Chooses among nominated addresses that are checked: the one of the highest priority, the present one if in doubt.
    ///
    /// Some browsers nominate every pair that works; of these, one that is not checked any more is dead.
    fn best_path(&self, now: Instant) -> Option<SocketAddr> {
        let is_alive = |path: &&Path| now.saturating_duration_since(path.checked_at) < PATH_ALIVE;
        let is_present = |path: &Path| Some(path.address) == self.destination;
        self.paths.iter().filter(is_alive).max_by_key(|path| (path.priority, is_present(path))).map(|path| path.address)
    }

    fn kind_of(&self, ssrc: u32) -> Option<MediaKind> {
        self.tracks.iter().find(|track| track.ssrc == ssrc).map(|track| track.kind)
    }
}

impl Session {
    /// Takes the sending streams away from str0m, which named their SSRCs in the answer: they are the media plane's now,
    /// and nobody else may send on them.
    ///
    /// An ICE restart makes str0m create them anew, under SSRCs that nobody was told; they go, too.
    pub(super) fn leave_media_to_egress(&mut self) {
        let Mids { audio, video } = self.mids;
        for (kind, mid) in [(MediaKind::Audio, audio), (MediaKind::Video, video)] {
            let Some(mid) = mid.filter(|_| self.viewing.is_some()) else { continue };
            let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None).map(|tx| (tx.ssrc(), tx.rtx())) else {
                continue;
            };
            self.rtc.direct_api().remove_stream_tx(stream.0);
            let Some(media) = self.rtc.media(mid) else { continue };
            let extension = |extension| media.remote_extmap().id_of(extension);
            let settings = TrackSettings {
                kind,
                ssrc: *stream.0,
                rtx_ssrc: stream.1.map(|rtx| *rtx),
                codecs: self.codecs_of(kind),
                mid: mid.to_string(),
                mid_extension: extension(Extension::RtpMid),
                send_time_extension: extension(Extension::AbsoluteSendTime),
                number_extension: extension(Extension::TransportSequenceNumber),
                cname: media.cname().to_owned(),
            };
            if let Some(viewing) =
                self.viewing.as_mut().filter(|viewing| viewing.tracks.iter().all(|it| it.kind != kind))
            {
                viewing.tracks.push(settings);
            }
        }
    }

    fn codecs_of(&self, kind: MediaKind) -> Vec<(onair_media::Codec, u8, Option<u8>)> {
        let params = self.rtc.codec_config().params();
        let resend = |pt| params.iter().find(|params| params.pt() == pt).and_then(|params| params.resend());
        let codecs = self.codecs.iter().filter(|(_, codec)| codec.kind() == kind);
        codecs.map(|(pt, codec)| (*codec, **pt, resend(*pt).map(|rtx| *rtx))).collect()
    }

    /// Lets media flow: DTLS is through, and its keys are there.
    pub(super) fn attach_egress(&mut self) {
        let Some(viewing) = &mut self.viewing else { return };
        let (Some(keys), Some(destination)) = (viewing.keys.take(), viewing.destination) else {
            if !viewing.is_attached {
                self.state.error = Some("the handshake left no SRTP keys".into());
                self.end(EndReason::Failed);
            }
            return;
        };
        viewing.is_attached = true;
        let egress = Egress::new(EgressSettings {
            profile: keys.profile,
            key: keys.local,
            destination,
            tracks: viewing.tracks.clone(),
            seed: viewing.seed,
        });
        self.outputs.push_back(Output::Egress(EgressOrder::Attach(Box::new(egress))));
    }

    /// Notes where the viewer wants its media.
    fn sends_to(&mut self, address: SocketAddr) {
        let Some(viewing) = self.viewing.as_mut().filter(|viewing| viewing.destination != Some(address)) else {
            return;
        };
        viewing.destination = Some(address);
        viewing.is_redirected = viewing.is_attached;
    }

    /// Notes where str0m sends: there media goes until an address is nominated.
    pub(super) fn note_transmit(&mut self, address: SocketAddr) {
        if self.viewing.as_ref().is_some_and(|viewing| viewing.paths.is_empty()) {
            self.sends_to(address);
        }
    }

    /// Notes a connectivity check: a nominated address may be the better one, or the only one left.
    pub(super) fn note_path(&mut self, address: SocketAddr, check: Check, now: Instant) {
        let Some(viewing) = &mut self.viewing else { return };
        match viewing.paths.iter_mut().find(|path| path.address == address) {
            Some(path) => path.checked_at = now,
            None if check.is_nomination => {
                if viewing.paths.len() == PATHS_MAX {
                    viewing.paths.remove(0);
                }
                viewing.paths.push(Path { address, priority: check.priority, checked_at: now });
            }
            None => return,
        }
        if let Some(best) = viewing.best_path(now) {
            self.sends_to(best);
        }
    }

    /// Notes that the peer can be reached, or cannot.
    pub(super) fn reachable(&mut self, is_reachable: bool) {
        let was_reachable = std::mem::replace(&mut self.state.connected, is_reachable);
        if was_reachable != is_reachable && self.viewing.as_ref().is_some_and(|viewing| viewing.is_attached) {
            let order = if is_reachable { EgressOrder::Resume } else { EgressOrder::Pause };
            self.outputs.push_back(Output::Egress(order));
        }
    }

    /// Passes on what a viewer reports.
    pub(super) fn note_rtcp(&mut self, rtcp: &Rtcp, now: Instant) {
        let Some(viewing) = &mut self.viewing else { return };
        match rtcp {
            Rtcp::Nack(nack) if viewing.kind_of(*nack.ssrc) == Some(MediaKind::Video) => {
                let entries = nack.reports.iter().flat_map(|entry| named(entry.pid, entry.blp));
                viewing.missing.extend(entries.take(NACK_MAX_PACKETS.saturating_sub(viewing.missing.len())));
            }
            Rtcp::Pli(pli) if viewing.kind_of(*pli.ssrc).is_some() => viewing.want_keyframe(now),
            Rtcp::Twcc(feedback) => viewing.arrivals.note(feedback, now),
            Rtcp::Fir(_) => viewing.want_keyframe(now),
            Rtcp::ReceiverReport(report) => report.reports.iter().for_each(|report| self.note_reception(report, now)),
            _ => {}
        }
    }

    fn note_reception(&mut self, report: &ReceptionReport, now: Instant) {
        let Some(viewing) = &mut self.viewing else { return };
        let Some(kind) = viewing.kind_of(*report.ssrc) else { return };
        viewing.is_lossy |= kind == MediaKind::Video && report.fraction_lost > LOSS_MAX;
        self.state.loss = Some(f32::from(report.fraction_lost) / 256.0);
        if report.last_sr_time != 0 {
            let now_32 = (self.identity.clock.ntp(now) >> 16) as u32;
            let round_trip = now_32.wrapping_sub(report.last_sr_time).wrapping_sub(report.last_sr_delay);
            // A delay that is longer than the time since our report is a mistake of the viewer's clock: nothing passed.
            self.state.rtt_ms = Some(f64::from((round_trip as i32).max(0)) * 1000.0 / 65_536.0);
        }
        if !viewing.known.contains(&kind) {
            viewing.known.push(kind);
            self.outputs.push_back(Output::Egress(EgressOrder::Known(kind)));
        }
    }
}

/// Returns the sequence numbers of one NACK entry: the first one and a bitmask of those behind it (RFC 4585 §6.2.1).
fn named(first: u16, mask: u16) -> impl Iterator<Item = u16> {
    let behind = (0..16).filter(move |bit| mask >> bit & 1 == 1);
    std::iter::once(first).chain(behind.map(move |bit| first.wrapping_add(bit + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_nominated_addresses_the_better_living_one_is_used() {
        let now = Instant::now();
        let path = |port, priority, age_s| Path {
            address: ([127, 0, 0, 1], port).into(),
            priority,
            checked_at: now - Duration::from_secs(age_s),
        };
        let mut viewing = Viewing::new(KeySlot::default(), [0; 12], now);
        let mut best = |paths: &[Path]| {
            viewing.paths = paths.into();
            viewing.best_path(now).map(|address| address.port())
        };
        assert_eq!(best(&[path(1, 10, 1), path(2, 20, 2), path(3, 15, 0)]), Some(2));
        // Nobody checks the best one any more.
        assert_eq!(best(&[path(1, 10, 1), path(2, 20, 7)]), Some(1));
        assert_eq!(best(&[path(1, 10, 7)]), None);
    }

    #[test]
    fn many_reports_make_one_message() {
        let now = Instant::now();
        let mut viewing = Viewing::new(KeySlot::default(), [0; 12], now);
        viewing.missing.extend([1, 2]);
        (0..100).for_each(|_| viewing.want_keyframe(now));
        assert!(
            matches!(viewing.take_feedback(), Some(Output::Egress(EgressOrder::Resend(missing))) if missing == [1, 2])
        );
        assert!(matches!(viewing.take_feedback(), Some(Output::Egress(EgressOrder::KeyframeWanted))));
        viewing.want_keyframe(now + Duration::from_millis(99));
        assert!(viewing.take_feedback().is_none(), "it was said just now");
        viewing.want_keyframe(now + Duration::from_millis(100));
        assert!(viewing.take_feedback().is_some());
    }

    #[test]
    fn a_nack_names_one_packet_and_up_to_sixteen_behind_it() {
        assert_eq!(named(65_535, 0b101).collect::<Vec<_>>(), [65_535, 0, 2]);
        assert_eq!(named(7, u16::MAX).count(), 17);
        assert_eq!(named(7, 0).collect::<Vec<_>>(), [7]);
    }
}
