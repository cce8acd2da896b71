//! The session's side of a viewer's media plane: hands over keys and numbers, passes on what the viewer reports.

use std::net::SocketAddr;
use std::time::Instant;

use onair_media::MediaKind;
use str0m::rtp::Extension;
use str0m::rtp::rtcp::{ReceptionReport, Rtcp};

use super::key_tap::KeySlot;
use super::{EndReason, Mids, Output, Session};
use crate::core::egress::{Egress, EgressOrder, EgressSettings, TrackSettings};

/// The most packets that one report may name as missing: as many as are kept for a moment of the highest bitrate.
const NACK_MAX_PACKETS: usize = 512;

/// What a viewer's media plane needs of the session.
#[derive(Debug)]
pub(super) struct Viewing {
    keys: KeySlot,
    seed: [u8; 12],
    tracks: Vec<TrackSettings>,
    /// Where media goes, once that is known.
    destination: Option<SocketAddr>,
    is_attached: bool,
    /// The tracks on which the viewer has reported.
    known: Vec<MediaKind>,
}

impl Viewing {
    pub(super) const fn new(keys: KeySlot, seed: [u8; 12]) -> Self {
        Self { keys, seed, tracks: Vec::new(), destination: None, is_attached: false, known: Vec::new() }
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
    pub(super) fn sends_to(&mut self, address: SocketAddr) {
        let Some(viewing) = self.viewing.as_mut().filter(|viewing| viewing.destination != Some(address)) else {
            return;
        };
        viewing.destination = Some(address);
        if viewing.is_attached {
            self.outputs.push_back(Output::Egress(EgressOrder::Redirect(address)));
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
                let missing = entries.take(NACK_MAX_PACKETS).collect();
                self.outputs.push_back(Output::Egress(EgressOrder::Resend(missing)));
            }
            Rtcp::Pli(pli) if viewing.kind_of(*pli.ssrc).is_some() => self.outputs.push_back(Output::KeyframeWanted),
            Rtcp::Fir(_) => self.outputs.push_back(Output::KeyframeWanted),
            Rtcp::ReceiverReport(report) => report.reports.iter().for_each(|report| self.note_reception(report, now)),
            _ => {}
        }
    }

    fn note_reception(&mut self, report: &ReceptionReport, now: Instant) {
        let Some(viewing) = &mut self.viewing else { return };
        let Some(kind) = viewing.kind_of(*report.ssrc) else { return };
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
    fn a_nack_names_one_packet_and_up_to_sixteen_behind_it() {
        assert_eq!(named(65_535, 0b101).collect::<Vec<_>>(), [65_535, 0, 2]);
        assert_eq!(named(7, u16::MAX).count(), 17);
        assert_eq!(named(7, 0).collect::<Vec<_>>(), [7]);
    }
}
