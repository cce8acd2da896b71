//! The media of one viewer: counts RTP packets by their clear headers, opens only those it must look into, and decides
//! what feedback is due. It is pure: time and datagrams come in, counts and RTCP come out.

use std::time::{Duration, Instant};

use onair_actors::core::srtp::Unprotector;
use onair_media::{Codec, MediaKind, starts_keyframe};

use super::answer::{Negotiated, Use};
use super::freeze::Freezes;
use super::rtcp::{self, Block, TRANSPORT_PACKETS_MAX};
use super::sequence::{Counts, RollOver, Sequence};
use super::stamp::Stamp;

/// The time between receiver reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The time between keyframe requests until there is one.
const REQUEST_EVERY: Duration = Duration::from_millis(500);

/// The time between transport-wide feedback packets.
const TRANSPORT_EVERY: Duration = Duration::from_millis(50);

/// The bitrate that is said to fit: more than anybody sends.
const FITTING_BITS_PER_S: u64 = 50_000_000;

/// The fixed part of an RTP header (RFC 3550 §5.1).
const RTP_HEADER_BYTES: usize = 12;

/// When and how a datagram came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// When it was read.
    pub(crate) now: Instant,
    /// When the kernel got it, by the system's clock.
    pub(crate) at_us: u64,
}

/// What a packet was, beside being counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How long its frame was on its way, in microseconds.
    pub(crate) delay_us: Option<u64>,
    /// It began the viewer's first keyframe.
    pub(crate) first_keyframe: bool,
}

/// How a viewer's packets are opened.
#[derive(Debug)]
pub(crate) struct Opener {
    /// The server's direction.
    pub(crate) unprotector: Unprotector,
    /// Whether stamps are read.
    pub(crate) samples: bool,
}

/// Counts what one viewer gets.
#[derive(Debug)]
pub(crate) struct Media {
    negotiated: Negotiated,
    opener: Option<Opener>,
    video: Stream,
    audio: Stream,
    repairs: RollOver,
    freezes: Freezes,
    has_keyframe: bool,
    search: Search,
    request_at: Instant,
    transport: Transport,
}

/// Looks for a frame's stamp: in its first packet, or in the second where the first bears parameter sets.
#[derive(Debug, Default)]
struct Search {
    timestamp: u32,
    tries: u8,
}

impl Search {
    /// Tells whether the packet of a frame is to be opened.
    fn tries(&mut self, timestamp: u32) -> bool {
        if self.timestamp != timestamp {
            *self = Self { timestamp, tries: 0 };
        }
        self.tries = self.tries.saturating_add(1);
        self.tries <= 2
    }

    fn found(&mut self) {
        self.tries = u8::MAX;
    }
}

#[derive(Debug)]
struct Stream {
    /// This side's SSRC, in feedback.
    sender: u32,
    report_at: Instant,
    ssrc: Option<u32>,
    sequence: Sequence,
    /// The last sender report: the middle of its NTP time, and when it came.
    reported: Option<(u32, Instant)>,
}

#[derive(Debug, Default)]
struct Transport {
    numbers: RollOver,
    /// Packets that feedback is due for, by their extended numbers.
    arrivals: Vec<(u64, u64)>,
    sent_at: Option<Instant>,
    count: u8,
}

/// What a clear RTP header says.
#[derive(Debug, Clone, Copy)]
struct Header {
    payload_type: u8,
    number: u16,
    timestamp: u32,
    ssrc: u32,
    bytes: usize,
    is_padded: bool,
}

impl Media {
    /// Prepares to count. `sender` and the number after it are this side's SSRCs; `stagger` is a share of a second, so that not all viewers report
    /// at once.
    pub(crate) fn new(negotiated: Negotiated, sender: u32, now: Instant, stagger: Duration) -> Self {
        let stream = |sender, ssrc| Stream {
            sender,
            report_at: now + stagger,
            ssrc,
            sequence: Sequence::default(),
            reported: None,
        };
        let video = stream(sender, negotiated.video_ssrc);
        let audio = stream(sender.wrapping_add(1), None);
        Self {
            negotiated,
            opener: None,
            video,
            audio,
            repairs: RollOver::default(),
            freezes: Freezes::default(),
            has_keyframe: false,
            search: Search::default(),
            request_at: now,
            transport: Transport::default(),
        }
    }

    /// Takes the keys; until then nothing is counted.
    pub(crate) fn unlock(&mut self, opener: Opener) {
        self.opener = Some(opener);
    }

    /// Takes an RTP packet. `scratch` is where it is opened, if it is.
    pub(crate) fn receive(&mut self, packet: &[u8], arrival: Arrival, scratch: &mut Vec<u8>) -> Option<Seen> {
        let header = Header::parse(packet)?;
        if let Some(number) = self.negotiated.transport_extension.and_then(|id| header.transport_number(packet, id)) {
            self.transport.note(number, arrival.at_us);
        }
        match self.negotiated.use_of(header.payload_type)? {
            Use::Media(codec) => self.receive_media(packet, header, codec, arrival, scratch),
            Use::Repair(kind) => self.receive_repair(packet, header, kind, arrival, scratch),
        }
    }

    fn receive_media(
        &mut self,
        packet: &[u8],
        header: Header,
        codec: Codec,
        arrival: Arrival,
        scratch: &mut Vec<u8>,
    ) -> Option<Seen> {
        let opener = self.opener.as_ref()?;
        let is_video = codec.kind() == MediaKind::Video;
        let stream = if is_video { &mut self.video } else { &mut self.audio };
        if stream.ssrc.replace(header.ssrc).is_some_and(|before| before != header.ssrc) {
            stream.renumber();
        }
        let index = stream.sequence.extend(header.number)?;
        let is_news = stream.sequence.push(index, packet.len(), arrival.now);
        if !is_video || !is_news {
            return None;
        }
        self.freezes.frame(header.timestamp, arrival.now);
        let may_be_stamped = opener.samples && self.search.tries(header.timestamp);
        if self.has_keyframe && !may_be_stamped {
            return None;
        }
        scratch.clear();
        opener.unprotector.open_rtp(packet, header.bytes, index, scratch).ok()?;
        Some(self.look(scratch.get(header.bytes..)?, codec, arrival))
    }

    fn receive_repair(
        &mut self,
        packet: &[u8],
        header: Header,
        kind: MediaKind,
        arrival: Arrival,
        scratch: &mut Vec<u8>,
    ) -> Option<Seen> {
        let opener = self.opener.as_ref()?;
        let index = self.repairs.follow(header.number)?;
        scratch.clear();
        opener.unprotector.open_rtp(packet, header.bytes, index, scratch).ok()?;
        // Padding alone probes for bandwidth. Else the original number stands before the payload (RFC 4588 §4).
        let padding = if header.is_padded { usize::from(*scratch.last()?) } else { 0 };
        let (number, payload) = scratch.get(header.bytes..scratch.len().checked_sub(padding)?)?.split_first_chunk()?;
        let stream = if kind == MediaKind::Video { &mut self.video } else { &mut self.audio };
        let index = stream.sequence.extend(u16::from_be_bytes(*number))?;
        if !stream.sequence.push(index, packet.len(), arrival.now) || kind == MediaKind::Audio {
            return None;
        }
        let reads = self.opener.as_ref().is_some_and(|opener| opener.samples) || !self.has_keyframe;
        reads.then(|| self.look(payload, Codec::H264, arrival))
    }

    /// Looks into an opened payload.
    fn look(&mut self, payload: &[u8], codec: Codec, arrival: Arrival) -> Seen {
        let first_keyframe = !self.has_keyframe && starts_keyframe(codec, payload);
        self.has_keyframe |= first_keyframe;
        let stamp = self.opener.as_ref().filter(|opener| opener.samples).and_then(|_| Stamp::parse(payload));
        if stamp.is_some() {
            self.search.found();
        }
        Seen { delay_us: stamp.map(|stamp| arrival.at_us.saturating_sub(stamp.sent_us)), first_keyframe }
    }

    /// Opens the server's RTCP into `out`.
    pub(crate) fn open_rtcp(&self, packet: &[u8], out: &mut Vec<u8>) -> bool {
        self.opener.as_ref().is_some_and(|opener| opener.unprotector.open_rtcp(packet, out).is_ok())
    }

    /// Takes the server's RTCP, opened.
    pub(crate) fn receive_rtcp(&mut self, compound: &[u8], now: Instant) {
        for (ssrc, middle) in rtcp::sender_reports(compound) {
            for stream in [&mut self.video, &mut self.audio] {
                if stream.ssrc == Some(ssrc) {
                    stream.reported = Some((middle, now));
                }
            }
        }
    }

    /// Appends the RTCP about one kind that is due, if any: a packet of its own, from an SSRC of its own, as browsers do
    /// it. There are servers that take all feedback of one SSRC to be about the stream it spoke of first.
    pub(crate) fn feedback(&mut self, kind: MediaKind, now: Instant, out: &mut Vec<u8>, numbers: &mut Vec<u16>) {
        let (stream, may_ask) = match kind {
            MediaKind::Video => (&mut self.video, self.negotiated.video_nack),
            MediaKind::Audio => (&mut self.audio, self.negotiated.audio_nack),
        };
        let is_video = kind == MediaKind::Video;
        if now >= stream.report_at
            && let Some(block) = stream.block(now)
        {
            stream.report_at = now + REPORT_EVERY;
            rtcp::receiver_report(out, stream.sender, &[block]);
            if let Some(ssrc) = stream.ssrc.filter(|_| is_video && self.negotiated.remb) {
                rtcp::remb(out, stream.sender, FITTING_BITS_PER_S, &[ssrc]);
            }
        }
        let Some(ssrc) = stream.ssrc else { return };
        if stream.sequence.has_missing() {
            stream.sequence.give_up(now);
            numbers.clear();
            if may_ask {
                stream.sequence.ask(now, numbers);
            }
            if !numbers.is_empty() {
                rtcp::nack(out, stream.sender, ssrc, numbers);
            }
        }
        if is_video && !self.has_keyframe && now >= self.request_at {
            self.request_at = now + REQUEST_EVERY;
            rtcp::pli(out, stream.sender, ssrc);
        }
        if is_video {
            self.transport.feedback(stream.sender, ssrc, now, out);
        }
    }

    /// Begins to count anew.
    pub(crate) fn restart(&mut self) {
        self.video.sequence.restart();
        self.audio.sequence.restart();
        self.freezes.restart();
    }

    /// Returns what was counted of a kind, and how many packets of it are waited for.
    pub(crate) fn counts(&self, kind: MediaKind) -> (Counts, u64) {
        let stream = if kind == MediaKind::Video { &self.video } else { &self.audio };
        (stream.sequence.counts(), stream.sequence.pending())
    }

    /// Returns how often and how long the picture stood still, up to now.
    pub(crate) fn freezes(&self, now: Instant) -> (u64, Duration) {
        self.freezes.until(now)
    }

    /// Tells whether a keyframe has come.
    pub(crate) fn has_keyframe(&self) -> bool {
        self.has_keyframe
    }
}

impl Stream {
    /// Follows another SSRC, whose sequence numbers have nothing to do with those before.
    fn renumber(&mut self) {
        self.sequence.renumber();
        self.reported = None;
    }

    fn block(&mut self, now: Instant) -> Option<Block> {
        let reception = self.sequence.report()?;
        let last_report = self.reported.map_or((0, 0), |(middle, at)| {
            let ago = now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(ago).unwrap_or(u32::MAX))
        });
        Some(Block { ssrc: self.ssrc?, reception, last_report })
    }
}

impl Transport {
    fn note(&mut self, number: u16, at_us: u64) {
        let Some(index) = self.numbers.follow(number) else { return };
        if self.arrivals.len() < TRANSPORT_PACKETS_MAX {
            self.arrivals.push((index, at_us));
        }
    }

    fn feedback(&mut self, sender: u32, media: u32, now: Instant, out: &mut Vec<u8>) {
        let is_due = self.sent_at.is_none_or(|at| now.saturating_duration_since(at) >= TRANSPORT_EVERY);
        if !is_due || self.arrivals.is_empty() {
            return;
        }
        self.sent_at = Some(now);
        self.arrivals.sort_unstable();
        self.arrivals.dedup_by_key(|(index, _)| *index);
        let end = self.arrivals[0].0 + TRANSPORT_PACKETS_MAX as u64;
        let fitting = self.arrivals.partition_point(|(index, _)| *index < end);
        rtcp::transport_feedback(out, sender, media, self.count, &self.arrivals[..fitting]);
        self.count = self.count.wrapping_add(1);
        self.arrivals.clear();
    }
}

impl Header {
    fn parse(packet: &[u8]) -> Option<Self> {
        let fixed: &[u8; RTP_HEADER_BYTES] = packet.first_chunk()?;
        let mut bytes = RTP_HEADER_BYTES + 4 * usize::from(fixed[0] & 0xf);
        if fixed[0] & 0x10 != 0 {
            let words: [u8; 2] = *packet.get(bytes + 2..)?.first_chunk()?;
            bytes += 4 + 4 * usize::from(u16::from_be_bytes(words));
        }
        (bytes <= packet.len()).then_some(Self {
            payload_type: fixed[1] & 0x7f,
            number: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            bytes,
            is_padded: fixed[0] & 0x20 != 0,
        })
    }

    /// Finds the transport-wide sequence number among the extensions of one byte (RFC 8285 §4.2) or two (§4.3).
    fn transport_number(&self, packet: &[u8], wanted: u8) -> Option<u16> {
        let start = RTP_HEADER_BYTES + 4 * usize::from(packet[0] & 0xf);
        let (profile, mut rest) = packet.get(start..self.bytes)?.split_first_chunk::<4>()?;
        let is_short = profile[..2] == [0xbe, 0xde];
        while let Some((&first, behind)) = rest.split_first() {
            if first == 0 {
                rest = behind;
                continue;
            }
            let (id, length, body) = match is_short {
                true => (first >> 4, usize::from(first & 0xf) + 1, behind),
                false => (first, usize::from(*behind.first()?), behind.get(1..)?),
            };
            let (value, after) = body.split_at_checked(length)?;
            if id == wanted {
                return value.first_chunk().map(|number| u16::from_be_bytes(*number));
            }
            rest = after;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use onair_actors::core::srtp::{MasterKey, Profile, Protector};

    use super::*;

    const PROFILE: Profile = Profile::AeadAes128Gcm;
    const ANSWER: &str = "\nm=video 9 x 108 109\na=rtpmap:108 H264/90000\na=rtcp-fb:108 nack\na=rtpmap:109 rtx/90000\n\
        a=rtcp-fb:108 transport-cc\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
        m=audio 9 x 111\na=rtpmap:111 opus/48000/2\n";

    fn master() -> MasterKey {
        MasterKey::new(PROFILE, &[1; 16], &[2; 12]).unwrap()
    }

    fn media(now: Instant, samples: bool) -> Media {
        let mut media = Media::new(Negotiated::parse(ANSWER), 5, now, Duration::ZERO);
        let unprotector = Unprotector::new(PROFILE, &master());
        media.unlock(Opener { unprotector, samples });
        media
    }

    /// Protects a packet with a transport-wide number beside its own.
    fn packet(payload_type: u8, number: u16, payload: &[u8]) -> Vec<u8> {
        let [high, low] = number.to_be_bytes();
        // Each is a frame of its own.
        let mut packet = vec![0x90, payload_type, high, low, 0, 0, high, low, 0, 0, 0, payload_type];
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x31, high, low, 0]);
        packet.extend_from_slice(payload);
        Protector::new(PROFILE, &master()).protect_rtp(&mut packet, 0, 20, number.into());
        packet
    }

    fn stamped() -> Vec<u8> {
        let mut payload = vec![0x41; 100];
        Stamp { sent_us: 1_000, frame: 1 }.write(&mut payload[3..]);
        payload
    }

    #[test]
    fn a_keyframe_is_seen_once_and_stamps_tell_the_delay() {
        let now = Instant::now();
        let (mut media, arrival, scratch) = (media(now, true), Arrival { now, at_us: 3_500 }, &mut Vec::new());
        let keyframe = [0x67, 1, 2];
        let seen = media.receive(&packet(108, 1, &keyframe), arrival, scratch);
        assert_eq!(seen, Some(Seen { delay_us: None, first_keyframe: true }));
        let again = media.receive(&packet(108, 2, &keyframe), arrival, scratch);
        assert_eq!(again, Some(Seen { delay_us: None, first_keyframe: false }));
        let seen = media.receive(&packet(108, 3, &stamped()), arrival, scratch);
        assert_eq!(seen, Some(Seen { delay_us: Some(2_500), first_keyframe: false }));
        assert_eq!(media.receive(&packet(111, 7, &[0xf8; 90]), arrival, scratch), None);
        assert_eq!((media.counts(MediaKind::Video).0.delivered, media.counts(MediaKind::Audio).0.delivered), (3, 1));
    }

    #[test]
    fn a_lost_packet_is_asked_for_and_repaired_by_another_stream() {
        let now = Instant::now();
        let (mut media, arrival, scratch) = (media(now, true), Arrival { now, at_us: 2_000 }, &mut Vec::new());
        for number in [1, 3] {
            media.receive(&packet(108, number, &[0x67, 1]), arrival, scratch);
        }
        let (mut feedback, later) = (Vec::new(), now + Duration::from_millis(20));
        media.feedback(MediaKind::Video, later, &mut feedback, &mut Vec::new());
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 5, 0, 0, 0, 108, 0, 2, 0, 0];
        assert!(feedback.windows(nack.len()).any(|window| window == nack), "{feedback:x?}");
        let repair = [&[0, 2][..], &stamped()].concat();
        let seen = media.receive(&packet(109, 900, &repair), arrival, scratch);
        assert_eq!(seen.and_then(|seen| seen.delay_us), Some(1_000));
        let (counts, pending) = media.counts(MediaKind::Video);
        assert_eq!((counts.expected, counts.delivered, counts.repaired, pending), (3, 3, 1, 0));
    }

    #[test]
    fn feedback_is_reports_each_second_and_requests_until_there_is_a_keyframe() {
        let now = Instant::now();
        let (mut media, scratch) = (media(now, false), &mut Vec::new());
        media.receive(&packet(108, 1, &[0x41, 1]), Arrival { now, at_us: 0 }, scratch);
        let kinds_after = |ms: u64, media: &mut Media| {
            let mut out = Vec::new();
            media.feedback(MediaKind::Video, now + Duration::from_millis(ms), &mut out, &mut Vec::new());
            let (mut kinds, mut rest) = (Vec::new(), &out[..]);
            while !rest.is_empty() {
                kinds.push((rest[1], rest[0] & 0x1f));
                rest = &rest[4 * (usize::from(rest[3]) + 1)..];
            }
            kinds
        };
        // Receiver report, names, PLI, transport-wide feedback.
        assert_eq!(kinds_after(0, &mut media), [(201, 1), (202, 1), (206, 1), (205, 15)]);
        assert_eq!(kinds_after(100, &mut media), []);
        assert_eq!(kinds_after(500, &mut media), [(206, 1)]);
        media.receive(&packet(108, 2, &[0x67, 1]), Arrival { now, at_us: 0 }, scratch);
        assert_eq!(kinds_after(1000, &mut media), [(201, 1), (202, 1), (205, 15)]);
    }

    #[test]
    fn what_is_broken_or_foreign_is_not_counted() {
        let now = Instant::now();
        let (mut media, arrival, scratch) = (media(now, true), Arrival { now, at_us: 0 }, &mut Vec::new());
        let whole = packet(108, 1, &[0x67, 1]);
        for length in 0..20 {
            assert_eq!(media.receive(&whole[..length], arrival, scratch), None, "{length}");
        }
        assert_eq!(media.receive(&packet(96, 1, &[1]), arrival, scratch), None);
        assert_eq!(media.counts(MediaKind::Video).0, Counts::default());
        let mut locked = Media::new(Negotiated::parse(ANSWER), 5, now, Duration::ZERO);
        assert_eq!(locked.receive(&whole, arrival, scratch), None, "there are no keys yet");
    }
}
