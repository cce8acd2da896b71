//! One viewer's media plane: what it gets next, under which numbers, and how that is protected.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use onair_media::{Codec, MediaKind};

use super::buffer::SendBuffer;
use super::header::{Extensions, Header};
use super::log::{Entry, PacketLog};
use super::numbering::{CatchUp, Numbered, Numbering};
use super::reports::SenderReport;
use crate::core::srtp::{MasterKey, Profile, Protector};
use crate::core::wall_clock::WallClock;

/// The most packets that a viewer gets in one turn: about what one send call takes of full ones.
pub(super) const TURN_PACKETS: u64 = 52;

/// How far a viewer may fall behind the newest packet before it is sent on to the next keyframe. Only an overloaded
/// worker brings it about, for the kernel's refusals are losses and not delays.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// A keyframe of so short a time ago is as good as a new one: a viewer has made up for it within a third of that.
const RECENT: Duration = Duration::from_secs(1);

/// How long a viewer waits for the keyframe that was asked for, before it begins with an older one. Browsers answer
/// within two frames; an encoder that does not listen never does.
const ANSWER_WITHIN: Duration = Duration::from_millis(150);

/// How old a keyframe may be to begin with it.
const TOO_OLD: Duration = Duration::from_secs(15);

/// How often a viewer that waits for a keyframe asks again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often a track's sender report goes out: often enough for a receiver to align sound and picture soon.
const REPORT_EVERY: Duration = Duration::from_secs(3);

/// What a viewer may be sent again before it was sent anything: a keyframe.
const FIRST_CREDIT_BYTES: u64 = 256 * 1024;

/// The most that is saved up: each byte of media earns one, so that everything may be sent twice.
const CREDIT_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// What a session negotiated for a viewer.
#[derive(Debug, Clone)]
pub struct EgressSettings {
    /// How media is protected.
    pub profile: Profile,
    /// With which key.
    pub key: MasterKey,
    /// Where it goes.
    pub destination: SocketAddr,
    /// At most one of each kind.
    pub tracks: Vec<TrackSettings>,
    /// Makes first sequence numbers and timestamps unpredictable (RFC 3550 §5.1).
    pub seed: [u8; 12],
}

/// What a session negotiated for a track.
#[derive(Debug, Clone)]
pub struct TrackSettings {
    /// Audio or video.
    pub kind: MediaKind,
    /// Named in the answer; nobody else sends on it.
    pub ssrc: u32,
    /// For retransmissions, likewise (RFC 4588); `None`: nothing is sent again.
    pub rtx_ssrc: Option<u32>,
    /// Each codec that the viewer takes, with its payload type and that of its retransmissions.
    pub codecs: Vec<(Codec, u8, Option<u8>)>,
    /// The m-line's name.
    pub mid: String,
    /// The number of the MID extension (RFC 8843 §15), if it was negotiated.
    pub mid_extension: Option<u8>,
    /// The number of the extension `abs-send-time`, if it was negotiated.
    pub send_time_extension: Option<u8>,
    /// The sender's name in RTCP.
    pub cname: String,
}

/// Holds the media plane of one viewer.
#[derive(Debug)]
pub struct Egress {
    protector: Protector,
    destination: SocketAddr,
    audio: Option<Track>,
    video: Option<Track>,
    /// Whether the viewer cannot be reached at present.
    is_paused: bool,
    /// Since when the viewer waits for a picture; `None` while it has one.
    waits_since: Option<Instant>,
    asked_at: Option<Instant>,
    catching_up: Option<CatchingUp>,
    credit_bytes: u64,
    sent_packets: u64,
    resent_packets: u64,
    dropped_packets: u64,
}

/// Where a viewer's pictures go on.
enum NextPicture {
    /// Where they are.
    AsItComes,
    /// At this keyframe, which has gone by.
    FromThePast(u64),
    /// At this packet: those before it are left out.
    After(u64),
}

/// A viewer that began in the past.
#[derive(Debug, Clone, Copy)]
struct CatchingUp {
    began: Instant,
    /// The timestamp of the keyframe.
    from: u32,
    plan: CatchUp,
    /// The number of the packet with which the keyframe begins.
    keyframe: u64,
}

#[derive(Debug)]
struct Track {
    settings: TrackSettings,
    numbering: Numbering,
    /// The number of the next packet of the log that was not looked at for this track.
    next: u64,
    /// Whether the viewer has reported on the SSRC, so that it knows what it belongs to (RFC 8843 §9.2).
    is_known: bool,
    packets: u32,
    payload_bytes: u32,
    rtx_seq_no: u64,
    reports: u32,
    reported_at: Option<Instant>,
    /// The last timestamp, and the moment that it stands for.
    newest: Option<(u32, Instant)>,
}

/// What all packets of a turn share.
pub(super) struct Turn<'a> {
    pub(super) log: &'a PacketLog,
    pub(super) now: Instant,
    pub(super) clock: WallClock,
}

impl Egress {
    /// Creates the media plane of a viewer whose session is connected.
    pub fn new(settings: EgressSettings) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = settings.seed;
        let starts_of = |kind| match kind {
            MediaKind::Audio => (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f])),
            MediaKind::Video => (u16::from_be_bytes([g, h]), u32::from_be_bytes([i, j, k, l])),
        };
        let (mut audio, mut video) = (None, None);
        for track in settings.tracks {
            let (first_seq_no, first_timestamp) = starts_of(track.kind);
            let place = if track.kind == MediaKind::Audio { &mut audio } else { &mut video };
            *place = Some(Track::new(track, first_seq_no, first_timestamp));
        }
        Self {
            protector: Protector::new(settings.profile, &settings.key),
            destination: settings.destination,
            audio,
            video,
            is_paused: false,
            waits_since: None,
            asked_at: None,
            catching_up: None,
            credit_bytes: FIRST_CREDIT_BYTES,
            sent_packets: 0,
            resent_packets: 0,
            dropped_packets: 0,
        }
    }

    /// Returns where the viewer's media goes.
    pub const fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Sends the viewer's media elsewhere from now on.
    pub(super) const fn redirect(&mut self, destination: SocketAddr) {
        self.destination = destination;
    }

    /// Lets a viewer wait until it can be reached again, or goes on with it at the next keyframe.
    ///
    /// Returns whether a keyframe is to be asked for.
    pub(super) fn pause(&mut self, is_paused: bool, now: Instant) -> bool {
        if is_paused != self.is_paused {
            self.is_paused = is_paused;
            self.skip(now);
        }
        !is_paused && self.video.is_some()
    }

    /// Notes that the viewer has reported on a track.
    pub(super) fn known(&mut self, kind: MediaKind) {
        self.tracks().filter(|track| track.settings.kind == kind).for_each(|track| track.is_known = true);
    }

    /// Puts a viewer that was just attached at the end of the log. Returns whether a keyframe is to be asked for.
    pub(super) fn join(&mut self, log: &PacketLog, now: Instant) -> bool {
        self.tracks().for_each(|track| track.next = log.end());
        self.waits_since = Some(now);
        self.asked_at = Some(now);
        self.video.is_some() && !self.recent_keyframe(log)
    }

    /// Returns how much of the log both tracks have looked at together.
    pub(super) fn progress(&self) -> u64 {
        [&self.audio, &self.video].into_iter().flatten().map(|track| track.next).sum()
    }

    /// Tells whether there may be something to send.
    pub(super) fn has_news(&self, log: &PacketLog) -> bool {
        [&self.audio, &self.video].into_iter().flatten().any(|track| track.next < log.end())
    }

    /// Returns packets sent, sent again, and withheld.
    pub(super) const fn counts(&self) -> (u64, u64, u64) {
        (self.sent_packets, self.resent_packets, self.dropped_packets)
    }

    /// Writes what is new for the viewer, up to a turn's worth of each track. Returns whether a keyframe is to be asked
    /// for.
    pub(super) fn fill(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) -> bool {
        if self.is_paused {
            self.tracks().for_each(|track| track.next = turn.log.end());
            return false;
        }
        self.find_places(turn);
        self.send_video(turn, out);
        self.send_audio(turn, out);
        let Self { protector, audio, video, .. } = self;
        for track in [video, audio].into_iter().flatten() {
            track.report(turn, protector, out);
        }
        self.asks(turn)
    }

    /// Writes packets that the viewer asks for again (RFC 4585 §6.2.1), as far as they are there and its credit goes.
    pub(super) fn resend(&mut self, seq_nos: &[u16], turn: &Turn<'_>, out: &mut SendBuffer) {
        let Self { protector, video: Some(track), credit_bytes, resent_packets, is_paused: false, .. } = self else {
            return;
        };
        let extensions = track.extensions(turn);
        for seq_no in seq_nos {
            let Some((source, original, extended)) = track.numbering.missing(*seq_no) else { continue };
            let Some(entry) = turn.log.find(source, original) else { continue };
            let Some(numbered) = track.numbering.as_sent(source, &entry.packet, extended) else { continue };
            let cost = entry.packet.payload.len() as u64;
            if *credit_bytes < cost {
                return;
            }
            if track.write_rtx(entry, numbered, &extensions, protector, out) {
                *credit_bytes -= cost;
                *resent_packets += 1;
            }
        }
    }

    fn tracks(&mut self) -> impl Iterator<Item = &mut Track> {
        [&mut self.audio, &mut self.video].into_iter().flatten()
    }

    /// Leaves out what there is, and goes on with the next keyframe.
    fn skip(&mut self, now: Instant) {
        self.tracks().for_each(|track| track.numbering.skip());
        self.catching_up = None;
        self.waits_since = Some(now);
    }

    /// Moves the tracks to where they go on: over what they are too late for, or back to a keyframe.
    fn find_places(&mut self, turn: &Turn<'_>) {
        if let Some(audio) = self.audio.as_mut().filter(|audio| audio.is_late(turn)) {
            self.dropped_packets += audio.leave_out(turn.log.end(), turn.log);
        }
        match self.next_picture(turn) {
            NextPicture::AsItComes => {}
            NextPicture::FromThePast(keyframe) => self.begin_at(keyframe, turn),
            NextPicture::After(resume_at) => {
                let missed = self.video.as_mut().map_or(0, |video| video.leave_out(resume_at, turn.log));
                self.dropped_packets += missed;
                (self.catching_up, self.waits_since) = (None, Some(turn.now));
            }
        }
    }

    fn next_picture(&self, turn: &Turn<'_>) -> NextPicture {
        let Some(video) = &self.video else { return NextPicture::AsItComes };
        let keyframe = turn.log.keyframe();
        let newer = keyframe.filter(|keyframe| *keyframe > video.next);
        match (self.catching_up, keyframe) {
            // A newer keyframe shortens the way.
            (Some(_), Some(keyframe)) if newer.is_some() => NextPicture::FromThePast(keyframe),
            (Some(_), _) if video.next >= turn.log.begin() => NextPicture::AsItComes,
            (_, Some(keyframe)) if self.may_begin_in_the_past(keyframe, turn) => NextPicture::FromThePast(keyframe),
            _ if video.is_late(turn) => NextPicture::After(newer.unwrap_or_else(|| turn.log.end())),
            _ => NextPicture::AsItComes,
        }
    }

    fn recent_keyframe(&self, log: &PacketLog) -> bool {
        let keyframe = log.keyframe().and_then(|keyframe| log.get(keyframe));
        let age = |entry: &Entry| {
            log.newest().map(|newest| newest.packet.received_at.saturating_duration_since(entry.packet.received_at))
        };
        keyframe.and_then(age).is_some_and(|age| age <= RECENT)
    }

    fn may_begin_in_the_past(&self, keyframe: u64, turn: &Turn<'_>) -> bool {
        let Some(since) = self.waits_since else { return false };
        let Some(video) = &self.video else { return false };
        let Some(entry) = turn.log.get(keyframe).filter(|_| keyframe < video.next) else { return false };
        let is_carried = video.payload_types(entry.packet.codec).is_some();
        let age = turn.now.saturating_duration_since(entry.packet.received_at);
        let has_waited = turn.now.saturating_duration_since(since) >= ANSWER_WITHIN;
        !video.numbering.is_running() && is_carried && age <= TOO_OLD && (has_waited || self.recent_keyframe(turn.log))
    }

    fn begin_at(&mut self, keyframe: u64, turn: &Turn<'_>) {
        let (Some(video), Some(Entry { source, packet, .. })) = (&mut self.video, turn.log.get(keyframe)) else {
            return;
        };
        let behind = turn.log.newest_video().map_or(0, |newest| newest.wrapping_sub(packet.timestamp));
        // The sender's clock may have jumped since; no more is to be made up for than time has passed.
        let passed = video_ticks(turn.now.saturating_duration_since(packet.received_at).min(TOO_OLD) + RECENT);
        let plan = CatchUp::behind(if behind as i32 > 0 { behind.min(passed) } else { 0 });
        video.numbering.begin_in_the_past(*source, packet, turn.now, plan);
        video.next = keyframe;
        self.catching_up = Some(CatchingUp { began: turn.now, from: packet.timestamp, plan, keyframe });
    }

    /// Pictures come from the past for a while, or as they come.
    fn send_video(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) {
        let Some(video) = &mut self.video else { return };
        let until = self.catching_up.map_or(u64::MAX, |catching_up| catching_up.due_until(video.next, turn));
        let range = video.next_turn(until, turn.log);
        let extensions = video.extensions(turn);
        for (number, entry) in range.filter_map(|number| Some((number, turn.log.get(number)?))) {
            let begins_here = self.catching_up.is_some_and(|catching_up| catching_up.keyframe == number);
            if entry.after_gap && !begins_here {
                video.numbering.skip();
                self.catching_up = None;
            }
            if entry.packet.codec.kind() != MediaKind::Video {
                continue;
            }
            let due_at = self.catching_up.map(|catching_up| catching_up.due_at(entry.packet.timestamp));
            let Some(numbered) = video.number(entry, due_at.unwrap_or(entry.packet.received_at)) else { continue };
            video.write(entry, numbered, &extensions, &self.protector, out);
            video.newest = Some((numbered.timestamp, due_at.unwrap_or(entry.captured_at)));
            self.sent_packets += 1;
            self.credit_bytes = CREDIT_MAX_BYTES.min(self.credit_bytes + entry.packet.payload.len() as u64);
        }
        self.waits_since = if video.numbering.is_running() { None } else { self.waits_since.or(Some(turn.now)) };
        if video.next == turn.log.end() {
            self.catching_up = None;
        }
    }

    /// Sound is always live.
    fn send_audio(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) {
        let Some(audio) = &mut self.audio else { return };
        let extensions = audio.extensions(turn);
        for entry in audio.next_turn(u64::MAX, turn.log).filter_map(|number| turn.log.get(number)) {
            if entry.after_gap {
                audio.numbering.skip();
            }
            if entry.packet.codec.kind() != MediaKind::Audio {
                continue;
            }
            let Some(numbered) = audio.number(entry, entry.packet.received_at) else { continue };
            audio.write(entry, numbered, &extensions, &self.protector, out);
            audio.newest = Some((numbered.timestamp, entry.captured_at));
            self.sent_packets += 1;
        }
    }

    /// Tells, at most once a second, that the viewer misses a keyframe.
    fn asks(&mut self, turn: &Turn<'_>) -> bool {
        let is_due = |since: Instant| turn.now.saturating_duration_since(since) >= ASK_AGAIN_AFTER;
        // Without video there is no keyframe to ask for.
        let misses = self.waits_since.is_some() && self.video.is_some() && turn.log.newest_video().is_some();
        let asks = misses && self.asked_at.is_none_or(is_due);
        if asks {
            self.asked_at = Some(turn.now);
        }
        asks
    }
}

impl CatchingUp {
    fn due_at(&self, timestamp: u32) -> Instant {
        let ticks = timestamp.wrapping_sub(self.from);
        self.began + video_time(if ticks as i32 > 0 { self.plan.shown(ticks) } else { 0 })
    }

    fn ends_at(&self) -> Instant {
        self.began + video_time(self.plan.lasts())
    }

    /// Returns how far the viewer may read from `next` on: what it catches up with comes at its pace.
    fn due_until(&self, next: u64, turn: &Turn<'_>) -> u64 {
        // Once the time for it is over nothing is held back, or the viewer would stay behind by the jitter of the source.
        if turn.now >= self.ends_at() {
            return u64::MAX;
        }
        let is_early = |number: &u64| {
            let entry = turn.log.get(*number).filter(|entry| entry.packet.codec.kind() == MediaKind::Video);
            entry.is_some_and(|entry| self.due_at(entry.packet.timestamp) > turn.now)
        };
        (next..turn.log.end().min(next + TURN_PACKETS)).find(is_early).unwrap_or(u64::MAX)
    }
}

/// Returns the ticks of a time at 90 kHz.
const fn video_ticks(time: Duration) -> u32 {
    (time.as_micros() * 9 / 100) as u32
}

/// Returns the time of ticks at 90 kHz, which is the clock of every video codec.
fn video_time(ticks: u32) -> Duration {
    Duration::from_micros(u64::from(ticks) * 100 / 9)
}

impl Track {
    fn new(settings: TrackSettings, first_seq_no: u16, first_timestamp: u32) -> Self {
        Self {
            settings,
            numbering: Numbering::new(first_seq_no, first_timestamp),
            next: 0,
            is_known: false,
            packets: 0,
            payload_bytes: 0,
            rtx_seq_no: u64::from(first_timestamp as u16),
            reports: 0,
            reported_at: None,
            newest: None,
        }
    }

    /// Takes the numbers of the packets to look at in this turn, none of them at or behind `until`.
    fn next_turn(&mut self, until: u64, log: &PacketLog) -> Range<u64> {
        let from = self.next.max(log.begin());
        self.next = log.end().min(until).min(from + TURN_PACKETS).max(from);
        from..self.next
    }

    /// Tells whether the track is too far behind.
    fn is_late(&self, turn: &Turn<'_>) -> bool {
        let age = |entry: &Entry| turn.now.saturating_duration_since(entry.packet.received_at);
        self.next < turn.log.end() && turn.log.get(self.next).is_none_or(|entry| age(entry) > BEHIND_MAX)
    }

    /// Goes on at `resume_at`, and returns how many packets of the track are left out.
    fn leave_out(&mut self, resume_at: u64, log: &PacketLog) -> u64 {
        let is_ours = |entry: &&Entry| entry.packet.codec.kind() == self.settings.kind;
        let missed =
            (self.next.max(log.begin())..resume_at).filter_map(|number| log.get(number)).filter(is_ours).count();
        self.next = resume_at;
        self.numbering.skip();
        missed as u64
    }

    fn payload_types(&self, codec: Codec) -> Option<(u8, Option<u8>)> {
        self.settings.codecs.iter().find(|(other, ..)| *other == codec).map(|(_, pt, rtx)| (*pt, *rtx))
    }

    /// The extensions of this turn: the send time, and the MID until the viewer knows the SSRC.
    fn extensions(&self, turn: &Turn<'_>) -> Extensions {
        let sent_at = turn.clock.abs_send_time(turn.now);
        let mid = self.settings.mid_extension.filter(|_| !self.is_known);
        Extensions::new([
            self.settings.send_time_extension.map(|id| (id, &sent_at[..])),
            mid.map(|id| (id, self.settings.mid.as_bytes())),
        ])
    }

    fn number(&mut self, entry: &Entry, due_at: Instant) -> Option<Numbered> {
        // What the viewer cannot play takes no number.
        self.payload_types(entry.packet.codec)?;
        self.numbering.number(entry.source, &entry.packet, due_at)
    }

    fn write(
        &mut self,
        entry: &Entry,
        numbered: Numbered,
        extensions: &Extensions,
        protector: &Protector,
        out: &mut SendBuffer,
    ) {
        let Some((payload_type, _)) = self.payload_types(entry.packet.codec) else { return };
        let header = Header {
            payload_type,
            marker: entry.packet.marker,
            is_padded: entry.padding > 0,
            seq_no: numbered.seq_no as u16,
            timestamp: numbered.timestamp,
            ssrc: self.settings.ssrc,
        };
        let begin = out.begin();
        let header_len = header.write(extensions, &mut out.bytes);
        out.bytes.extend_from_slice(&entry.packet.payload);
        if let Some(zeros) = entry.padding.checked_sub(1) {
            out.bytes.extend(std::iter::repeat_n(0, zeros.into()));
            out.bytes.push(entry.padding);
        }
        protector.protect_rtp(&mut out.bytes, begin, header_len, numbered.seq_no);
        out.end_datagram();
        self.packets = self.packets.wrapping_add(1);
        self.payload_bytes = self.payload_bytes.wrapping_add(entry.packet.payload.len() as u32);
    }

    /// Writes a retransmission: the original sequence number, then the payload (RFC 4588 §4).
    fn write_rtx(
        &mut self,
        entry: &Entry,
        original: Numbered,
        extensions: &Extensions,
        protector: &Protector,
        out: &mut SendBuffer,
    ) -> bool {
        let (Some(ssrc), Some((_, Some(payload_type)))) =
            (self.settings.rtx_ssrc, self.payload_types(entry.packet.codec))
        else {
            return false;
        };
        let seq_no = self.rtx_seq_no;
        self.rtx_seq_no += 1;
        let (marker, timestamp) = (entry.packet.marker, original.timestamp);
        let header = Header { payload_type, marker, is_padded: false, seq_no: seq_no as u16, timestamp, ssrc };
        let begin = out.begin();
        let header_len = header.write(extensions, &mut out.bytes);
        out.bytes.extend_from_slice(&(original.seq_no as u16).to_be_bytes());
        out.bytes.extend_from_slice(&entry.packet.payload);
        protector.protect_rtp(&mut out.bytes, begin, header_len, seq_no);
        out.end_datagram();
        true
    }

    /// Writes a sender report when one is due, the first one with the first packets.
    fn report(&mut self, turn: &Turn<'_>, protector: &Protector, out: &mut SendBuffer) {
        let Some((timestamp, at)) = self.newest else { return };
        let is_fresh = |reported: Instant| turn.now.saturating_duration_since(reported) < REPORT_EVERY;
        if self.reported_at.is_some_and(is_fresh) {
            return;
        }
        self.reported_at = Some(turn.now);
        let rate = match self.settings.kind {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        };
        // The report's two times are this very moment, so that the viewer's answer tells the round trip.
        let ticks = turn.now.saturating_duration_since(at).as_micros() as u64 * rate / 1_000_000;
        let report = SenderReport {
            ssrc: self.settings.ssrc,
            ntp: turn.clock.ntp(turn.now),
            timestamp: timestamp.wrapping_add(ticks as u32),
            packets: self.packets,
            payload_bytes: self.payload_bytes,
            cname: &self.settings.cname,
        };
        let begin = out.begin();
        report.write(&mut out.bytes);
        protector.protect_rtcp(&mut out.bytes, begin, self.reports);
        out.end_datagram();
        self.reports += 1;
    }
}
