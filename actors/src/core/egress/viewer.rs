//! One viewer's media plane: what it gets next, under which numbers, and how that is protected.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use onair_media::{EncodingId, EncodingSet, MediaKind, SourceId};

use super::buffer::SendBuffer;
use super::feedback::{Link, Reported};
use super::log::{Entry, PacketLog};
use super::logs::Logs;
use super::numbering::CatchUp;
use super::track::{TURN_PACKETS, Track, TrackSettings, Turn, Wire};
use crate::core::gop;
use crate::core::layers::Layers;
use crate::core::srtp::{MasterKey, Profile, Protector};

/// A keyframe of so short a time ago is as good as a new one: a viewer has made up for it within a third of that.
const RECENT: Duration = Duration::from_secs(1);

/// How long a viewer waits for the keyframe that was asked for, before it begins with an older one. Browsers answer
/// within two frames; an encoder that does not listen never does.
const ANSWER_WITHIN: Duration = Duration::from_millis(150);

/// How often a viewer that waits for a keyframe asks again.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);

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

/// Holds the media plane of one viewer.
#[derive(Debug)]
pub struct Egress {
    pub(super) protector: Protector,
    destination: SocketAddr,
    audio: Option<Track>,
    pub(super) video: Option<Track>,
    /// Which encoding the viewer gets, and which one it is to get from the next keyframe on.
    pub(super) encoding: EncodingId,
    pub(super) wanted: EncodingId,
    pub(super) layers: Layers,
    /// Follows the link while there is something to choose from.
    pub(super) link: Option<Link>,
    /// When the choice was looked at last.
    pub(super) chosen_at: Option<Instant>,
    /// What a probe may still send, and when it was given more.
    pub(super) probe_bytes: u64,
    pub(super) probed_at: Option<Instant>,
    /// Whose encodings the choice is about.
    pub(super) chosen_of: Option<SourceId>,
    /// Whether the viewer cannot be reached at present.
    is_paused: bool,
    /// Since when the viewer waits for a picture; `None` while it has one.
    waits_since: Option<Instant>,
    pub(super) asked_at: Option<Instant>,
    pub(super) catching_up: Option<CatchingUp>,
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
pub(super) struct CatchingUp {
    began: Instant,
    /// The timestamp of the keyframe.
    from: u32,
    plan: CatchUp,
    /// The number of the packet with which the keyframe begins.
    keyframe: u64,
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
            encoding: EncodingId::default(),
            wanted: EncodingId::default(),
            layers: Layers::default(),
            link: None,
            chosen_at: None,
            probe_bytes: 0,
            probed_at: None,
            chosen_of: None,
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
    pub(super) fn redirect(&mut self, destination: SocketAddr) {
        self.destination = destination;
        self.link.iter_mut().for_each(Link::change_path);
    }

    /// Lets a viewer wait until it can be reached again, or goes on with it at the next keyframe.
    ///
    /// Returns of which encodings a keyframe is to be asked for.
    pub(super) fn pause(&mut self, is_paused: bool, now: Instant) -> EncodingSet {
        if is_paused != self.is_paused {
            self.is_paused = is_paused;
            self.link.iter_mut().for_each(Link::change_path);
            self.skip(now);
        }
        if is_paused { EncodingSet::default() } else { self.encodings() }
    }

    /// Returns the encoding that the viewer gets, and the one that it is to get, if it has video.
    pub(super) fn encodings(&self) -> EncodingSet {
        let mut encodings = EncodingSet::default();
        if self.video.is_some() {
            encodings.insert(self.encoding);
            encodings.insert(self.wanted);
        }
        encodings
    }

    /// Notes when the viewer got packets.
    pub(super) fn arrivals(&mut self, reported: &[Reported], now: Instant) {
        if let Some(link) = &mut self.link {
            self.layers.report(link.report(reported, now), now);
        }
    }

    /// Notes that the viewer loses so much that its link must be full.
    pub(super) const fn lossy(&mut self) {
        self.layers.lossy();
    }

    /// Notes that the viewer has reported on a track.
    pub(super) fn known(&mut self, kind: MediaKind) {
        self.tracks().filter(|track| track.settings.kind == kind).for_each(|track| track.is_known = true);
    }

    /// Puts a viewer that was just attached at the end of the logs. Returns of which encoding a keyframe is to be asked for.
    pub(super) fn join(&mut self, logs: &Logs, now: Instant) -> EncodingSet {
        self.choose(logs, now);
        self.encoding = self.wanted;
        self.leave_out_all(logs);
        self.waits_since = Some(now);
        self.asked_at = Some(now);
        let is_missing = !self.recent_keyframe(logs.video(self.encoding));
        if is_missing { self.encodings() } else { EncodingSet::default() }
    }

    fn leave_out_all(&mut self, logs: &Logs) {
        let Self { audio, video, encoding, .. } = self;
        audio.iter_mut().for_each(|track| track.next = logs.audio().end());
        video.iter_mut().for_each(|track| track.next = logs.video(*encoding).end());
    }

    /// Returns how much of the logs the tracks have looked at.
    pub(super) fn progress(&self) -> (EncodingId, u64, u64) {
        let next = |track: &Option<Track>| track.as_ref().map_or(0, |track| track.next);
        (self.encoding, next(&self.audio), next(&self.video))
    }

    /// Tells whether there may be something to send.
    pub(super) fn has_news(&self, logs: &Logs) -> bool {
        self.audio.as_ref().is_some_and(|track| track.next < logs.audio().end())
            || self.video.as_ref().is_some_and(|track| track.next < logs.video(self.encoding).end())
            || self.may_change(logs)
            || self.is_choice_due(logs)
    }

    /// Returns packets sent, sent again, and withheld.
    pub(super) const fn counts(&self) -> (u64, u64, u64) {
        (self.sent_packets, self.resent_packets, self.dropped_packets)
    }

    /// Writes what is new for the viewer, up to a turn's worth of each track. Returns of which encodings a keyframe is to be
    /// asked for.
    pub(super) fn fill(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) -> EncodingSet {
        if self.is_paused {
            self.leave_out_all(turn.logs);
            return EncodingSet::default();
        }
        self.choose(turn.logs, turn.now);
        self.change_encoding(turn);
        self.find_places(turn);
        self.send_video(turn, out);
        self.send_audio(turn, out);
        self.probe(turn, out);
        let Self { protector, audio, video, .. } = self;
        for track in [video, audio].into_iter().flatten() {
            track.report(turn, protector, out);
        }
        self.asks(turn)
    }

    /// Writes packets that the viewer asks for again (RFC 4585 §6.2.1), as far as they are there and its credit goes.
    pub(super) fn resend(&mut self, seq_nos: &[u16], turn: &Turn<'_>, out: &mut SendBuffer) {
        let Self { protector, link, video: Some(track), credit_bytes, resent_packets, is_paused: false, .. } = self
        else {
            return;
        };
        let mut extensions = track.extensions(turn, link.is_some());
        let mut wire = Wire { protector, link: link.as_mut(), now: turn.now };
        for seq_no in seq_nos {
            let Some((origin, original, extended)) = track.numbering.missing(*seq_no) else { continue };
            let Some(entry) = turn.logs.video(origin.encoding).find(origin.source, original) else { continue };
            let Some(numbered) = track.numbering.as_sent(origin.source, &entry.packet, extended) else { continue };
            let cost = entry.packet.payload.len() as u64;
            if *credit_bytes < cost {
                return;
            }
            if track.write_rtx(entry, numbered, &mut extensions, &mut wire, out) {
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
        let sound = turn.logs.audio();
        if let Some(audio) = self.audio.as_mut().filter(|audio| audio.is_late(sound, turn.now)) {
            self.dropped_packets += audio.leave_out(sound.end(), sound);
        }
        match self.next_picture(turn) {
            NextPicture::AsItComes => {}
            NextPicture::FromThePast(keyframe) => self.begin_at(keyframe, turn),
            NextPicture::After(resume_at) => {
                let log = turn.logs.video(self.encoding);
                let missed = self.video.as_mut().map_or(0, |video| video.leave_out(resume_at, log));
                self.dropped_packets += missed;
                (self.catching_up, self.waits_since) = (None, Some(turn.now));
            }
        }
    }

    fn next_picture(&self, turn: &Turn<'_>) -> NextPicture {
        let Some(video) = &self.video else { return NextPicture::AsItComes };
        let log = turn.logs.video(self.encoding);
        let keyframe = log.keyframe();
        let newer = keyframe.filter(|keyframe| *keyframe > video.next);
        match (self.catching_up, keyframe) {
            // A newer keyframe shortens the way.
            (Some(_), Some(keyframe)) if newer.is_some() => NextPicture::FromThePast(keyframe),
            (Some(_), _) if video.next >= log.begin() => NextPicture::AsItComes,
            (_, Some(keyframe)) if self.may_begin_in_the_past(keyframe, turn) => NextPicture::FromThePast(keyframe),
            _ if video.is_late(log, turn.now) => NextPicture::After(newer.unwrap_or_else(|| log.end())),
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
        let log = turn.logs.video(self.encoding);
        let Some(entry) = log.get(keyframe).filter(|_| keyframe < video.next) else { return false };
        let is_carried = video.payload_types(entry.packet.codec).is_some();
        let age = turn.now.saturating_duration_since(entry.packet.received_at);
        let has_waited = turn.now.saturating_duration_since(since) >= ANSWER_WITHIN;
        !video.numbering.is_running() && is_carried && age <= gop::KEPT_FOR && (has_waited || self.recent_keyframe(log))
    }

    fn begin_at(&mut self, keyframe: u64, turn: &Turn<'_>) {
        let log = turn.logs.video(self.encoding);
        let (Some(video), Some(Entry { source, packet, .. })) = (&mut self.video, log.get(keyframe)) else {
            return;
        };
        let behind = log.newest_video().map_or(0, |newest| newest.wrapping_sub(packet.timestamp));
        // The sender's clock may have jumped since; no more is to be made up for than time has passed.
        let passed = video_ticks(turn.now.saturating_duration_since(packet.received_at).min(gop::KEPT_FOR) + RECENT);
        let plan = CatchUp::behind(if behind as i32 > 0 { behind.min(passed) } else { 0 });
        video.numbering.begin_in_the_past(*source, packet, turn.now, plan);
        video.next = keyframe;
        self.catching_up = Some(CatchingUp { began: turn.now, from: packet.timestamp, plan, keyframe });
    }

    /// Pictures come from the past for a while, or as they come.
    fn send_video(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) {
        let Some(video) = &mut self.video else { return };
        let log = turn.logs.video(self.encoding);
        let until = self.catching_up.map_or(u64::MAX, |catching_up| catching_up.due_until(video.next, log, turn.now));
        let range = video.next_turn(until, log);
        let mut extensions = video.extensions(turn, self.link.is_some());
        let mut wire = Wire { protector: &self.protector, link: self.link.as_mut(), now: turn.now };
        for (number, entry) in range.filter_map(|number| Some((number, log.get(number)?))) {
            let begins_here = self.catching_up.is_some_and(|catching_up| catching_up.keyframe == number);
            if entry.after_gap && !begins_here {
                video.numbering.skip();
                self.catching_up = None;
            }
            let due_at = self.catching_up.map(|catching_up| catching_up.due_at(entry.packet.timestamp));
            let Some(numbered) = video.number(entry, due_at.unwrap_or(entry.packet.received_at)) else { continue };
            video.write(entry, numbered, &mut extensions, &mut wire, out);
            video.newest = Some((numbered.timestamp, due_at.unwrap_or(entry.captured_at)));
            self.sent_packets += 1;
            self.credit_bytes = CREDIT_MAX_BYTES.min(self.credit_bytes + entry.packet.payload.len() as u64);
        }
        self.waits_since = if video.numbering.is_running() { None } else { self.waits_since.or(Some(turn.now)) };
        if video.next == log.end() {
            self.catching_up = None;
        }
    }

    /// Sound is always live.
    fn send_audio(&mut self, turn: &Turn<'_>, out: &mut SendBuffer) {
        let Some(audio) = &mut self.audio else { return };
        let mut extensions = audio.extensions(turn, self.link.is_some());
        let mut wire = Wire { protector: &self.protector, link: self.link.as_mut(), now: turn.now };
        let log = turn.logs.audio();
        for entry in audio.next_turn(u64::MAX, log).filter_map(|number| log.get(number)) {
            if entry.after_gap {
                audio.numbering.skip();
            }
            let Some(numbered) = audio.number(entry, entry.packet.received_at) else { continue };
            audio.write(entry, numbered, &mut extensions, &mut wire, out);
            audio.newest = Some((numbered.timestamp, entry.captured_at));
            self.sent_packets += 1;
        }
    }

    /// Tells, at most once a second, of which encodings the viewer misses a keyframe.
    fn asks(&mut self, turn: &Turn<'_>) -> EncodingSet {
        let is_due = |since: Instant| turn.now.saturating_duration_since(since) >= ASK_AGAIN_AFTER;
        let mut missing = EncodingSet::default();
        if self.video.is_none() || !self.asked_at.is_none_or(is_due) {
            return missing;
        }
        // Without video there is no keyframe to ask for.
        if self.waits_since.is_some() && turn.logs.video(self.encoding).newest_video().is_some() {
            missing.insert(self.encoding);
        }
        if self.wanted != self.encoding {
            missing.insert(self.wanted);
        }
        if !missing.is_empty() {
            self.asked_at = Some(turn.now);
        }
        missing
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
    fn due_until(&self, next: u64, log: &PacketLog, now: Instant) -> u64 {
        // Once the time for it is over nothing is held back, or the viewer would stay behind by the jitter of the source.
        if now >= self.ends_at() {
            return u64::MAX;
        }
        let is_early = |number: &u64| log.get(*number).is_some_and(|entry| self.due_at(entry.packet.timestamp) > now);
        (next..log.end().min(next + TURN_PACKETS)).find(is_early).unwrap_or(u64::MAX)
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
