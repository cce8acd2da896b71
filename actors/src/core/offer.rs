//! SDP offers and ICE fragments as WHIP and WHEP allow them (RFC 9725 §4.2 and §4.4), checked before str0m sees them.

use std::collections::HashSet;

use onair_media::{EncodingId, MediaKind};
use str0m::IceCreds;
use str0m::change::SdpOffer;

/// What str0m can repeat in its answer.
const MID_MAX_BYTES: usize = 16;

/// What str0m can tell apart: longer names are cut.
const RID_MAX_BYTES: usize = 8;

/// Tells a publisher's session from a viewer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends media to us (WHIP).
    Publisher,
    /// Receives media from us (WHEP).
    Viewer,
}

impl Role {
    /// The direction that the remote's m-lines must have in their offer.
    const fn offered_direction(self) -> &'static str {
        match self {
            Self::Publisher => "sendonly",
            Self::Viewer => "recvonly",
        }
    }
}

/// Says why an offer or a fragment cannot be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The text is not the SDP it claims to be.
    #[error("the SDP cannot be parsed: {0}")]
    Malformed(String),
    /// The text is right, but asks for something that this server does not do.
    #[error("the offer cannot be met: {0}")]
    NotAcceptable(String),
}

/// Holds an offer that passed the checks, with its directions narrowed to what its role means.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The role it was checked for.
    pub role: Role,
    text: String,
    tracks: Vec<OfferedTrack>,
}

/// Describes one m-line of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedTrack {
    /// Its media identification tag (RFC 5888).
    pub mid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The encodings that a publisher sends at the same time, by `rid` (RFC 8851), as listed; empty where there is one.
    pub encodings: Vec<String>,
}

impl Offer {
    /// Checks an offer: one BUNDLE group over all m-lines, at most one audio and one video, `rtcp-mux`, the right
    /// direction. Candidates are left out of what str0m sees, and so is simulcast that is not up to three plain encodings
    /// of a publisher's video: an answer without it makes the browser send one (RFC 8853 §5.3).
    ///
    /// # Errors
    /// [`OfferError::Malformed`] when it is not SDP, [`OfferError::NotAcceptable`] when it breaks RFC 9725 §4.2.
    pub fn parse(text: &str, role: Role) -> Result<Self, OfferError> {
        let sections = sections(text)?;
        let (session, media) = sections.split_first().ok_or_else(|| malformed("it is empty"))?;
        if media.is_empty() {
            return Err(malformed("it has no m-line"));
        }
        let tracks = media.iter().map(|lines| track(lines, role)).collect::<Result<Vec<_>, _>>()?;
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if tracks.iter().filter(|track| track.kind == kind).count() > 1 {
                return Err(not_acceptable(format!("more than one {} track", kind.as_str())));
            }
        }
        check_bundle(session, &tracks)?;
        check_payload_types(media)?;
        let mut text = rendered(session, None, false);
        // In the order of the m-lines, which is the one that str0m understands.
        let mids: Vec<_> = tracks.iter().map(|track| track.mid.as_str()).collect();
        text.push_str(&format!("a=group:BUNDLE {}\r\n", mids.join(" ")));
        for (lines, track) in media.iter().zip(&tracks) {
            check_direction(session, lines, role)?;
            text.push_str(&rendered(lines, Some(role), !track.encodings.is_empty()));
        }
        let offer = Self { role, text, tracks };
        offer.to_str0m()?;
        Ok(offer)
    }

    /// Returns what the m-lines ask for, in their order.
    pub fn tracks(&self) -> &[OfferedTrack] {
        &self.tracks
    }

    /// Hands the checked offer to str0m.
    ///
    /// # Errors
    /// [`OfferError::Malformed`] when str0m's parser disagrees with ours.
    pub fn to_str0m(&self) -> Result<SdpOffer, OfferError> {
        SdpOffer::from_sdp_string(&self.text).map_err(|error| OfferError::Malformed(error.to_string()))
    }

    /// Tells whether these are the credentials that the offer already has.
    pub fn has_credentials(&self, creds: &IceCreds) -> bool {
        let value = |name: &str| self.text.lines().find_map(|line| line.strip_prefix(name));
        value("a=ice-ufrag:") == Some(&creds.ufrag) && value("a=ice-pwd:") == Some(&creds.pass)
    }

    /// Returns the same offer with other ICE credentials: what a full offer for an ICE restart would say.
    pub fn with_credentials(&self, creds: &IceCreds) -> Self {
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines() {
            if line.starts_with("a=ice-ufrag:") {
                text.push_str(&format!("a=ice-ufrag:{}\r\n", creds.ufrag));
            } else if line.starts_with("a=ice-pwd:") {
                text.push_str(&format!("a=ice-pwd:{}\r\n", creds.pass));
            } else {
                text.push_str(line);
                text.push_str("\r\n");
            }
        }
        Self { role: self.role, text, tracks: self.tracks.clone() }
    }
}

/// Splits into the session section and one section a media description (RFC 8866 §5).
fn sections(text: &str) -> Result<Vec<Vec<&str>>, OfferError> {
    if !text.starts_with("v=0") {
        return Err(malformed("it does not begin with v=0"));
    }
    let mut sections = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.as_bytes().get(1) != Some(&b'=') {
            return Err(malformed("a line is not of the form x=value"));
        }
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        sections.last_mut().expect("begun with one section").push(line);
    }
    Ok(sections)
}

fn track(lines: &[&str], role: Role) -> Result<OfferedTrack, OfferError> {
    let m_line = lines.first().copied().unwrap_or_default();
    let mut words = m_line.trim_start_matches("m=").split(' ');
    let kind = match words.next() {
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        other => return Err(not_acceptable(format!("an m-line of type {:?}", other.unwrap_or_default()))),
    };
    let port = words.next().ok_or_else(|| malformed("an m-line has no port"))?;
    if port == "0" && !lines.contains(&"a=bundle-only") {
        return Err(not_acceptable("a rejected m-line (port 0)".into()));
    }
    if !lines.iter().any(|line| line.starts_with("a=rtcp-mux")) {
        return Err(not_acceptable("RTP and RTCP on different ports (a=rtcp-mux is missing)".into()));
    }
    let mid = lines.iter().find_map(|line| line.strip_prefix("a=mid:"));
    let mid = mid.ok_or_else(|| malformed("an m-line has no a=mid"))?.trim();
    if mid.is_empty() || mid.len() > MID_MAX_BYTES || !mid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(not_acceptable(format!("an a=mid other than 1 to {MID_MAX_BYTES} of A-Z a-z 0-9 _")));
    }
    let is_pictures = role == Role::Publisher && kind == MediaKind::Video;
    let encodings = if is_pictures { encodings(lines) } else { Vec::new() };
    Ok(OfferedTrack { mid: mid.into(), kind, encodings })
}

/// Reads the encodings that are offered (RFC 8853 §5.1, RFC 8851 §10); none, unless all of it can be taken.
fn encodings(lines: &[&str]) -> Vec<String> {
    let named = |rid: &&str| lines.iter().any(|line| line.strip_prefix("a=rid:").is_some_and(|it| is_sent(it, rid)));
    let is_plain =
        |rid: &&str| (1..=RID_MAX_BYTES).contains(&rid.len()) && rid.bytes().all(|b| b.is_ascii_alphanumeric());
    let offered = lines.iter().find_map(|line| line.strip_prefix("a=simulcast:send ")).unwrap_or_default();
    let rids: Vec<_> = offered.trim().split(';').map(|rid| rid.trim_start_matches('~')).collect();
    let is_each_once = rids.iter().collect::<HashSet<_>>().len() == rids.len();
    let are_told_apart =
        lines.iter().any(|line| line.starts_with("a=extmap:") && line.ends_with(ENCODING_EXTENSIONS[0]));
    let can_be_taken = (2..=EncodingId::COUNT).contains(&rids.len()) && is_each_once && are_told_apart;
    if can_be_taken && rids.iter().all(|rid| is_plain(rid) && named(rid)) {
        rids.into_iter().map(str::to_owned).collect()
    } else {
        Vec::new()
    }
}

/// Tells whether this describes an encoding that the other side sends, and no more: an answer may not take restrictions
/// away (RFC 8851 §6), and str0m's has none.
fn is_sent(description: &str, rid: &str) -> bool {
    description.split_whitespace().eq([rid, "send"])
}

/// Checks that each payload type stands for one thing in the whole bundle (RFC 9143 §9.1): str0m takes it for granted.
fn check_payload_types(media: &[Vec<&str>]) -> Result<(), OfferError> {
    let (mut formats, mut rtpmaps, mut repairs) = (HashSet::new(), HashSet::new(), HashSet::new());
    for lines in media {
        let listed = lines.first().into_iter().flat_map(|m_line| m_line.split_whitespace().skip(3));
        let mapped = lines.iter().filter_map(|line| line.strip_prefix("a=rtpmap:"));
        let repairing =
            lines.iter().filter_map(|line| line.strip_prefix("a=fmtp:")).filter(|fmtp| fmtp.contains("apt="));
        let number = |attribute: &str| attribute.split(' ').next().unwrap_or_default().to_owned();
        let once = listed.map(str::to_owned).all(|pt| formats.insert(pt))
            && mapped.map(number).all(|pt| rtpmaps.insert(pt))
            && repairing.map(number).all(|pt| repairs.insert(pt));
        if !once {
            return Err(not_acceptable("a payload type that stands for two things".into()));
        }
    }
    Ok(())
}

fn check_bundle(session: &[&str], tracks: &[OfferedTrack]) -> Result<(), OfferError> {
    let groups: Vec<_> = session.iter().filter_map(|line| line.strip_prefix("a=group:BUNDLE")).collect();
    match (groups.as_slice(), tracks) {
        ([], [_]) => Ok(()),
        ([group], _) if tracks.iter().all(|track| group.split_whitespace().any(|mid| mid == track.mid)) => Ok(()),
        _ => Err(not_acceptable("all m-lines must be in one BUNDLE group".into())),
    }
}

/// The header extensions that tell encodings apart (RFC 8852 §4).
const ENCODING_EXTENSIONS: [&str; 2] =
    [" urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", " urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"];

const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

fn check_direction(session: &[&str], lines: &[&str], role: Role) -> Result<(), OfferError> {
    let given = |lines: &[&str]| lines.iter().copied().find(|line| DIRECTIONS.contains(line)).map(str::to_owned);
    // Absent means sendrecv (RFC 8866 §6.7), which is tolerated: the answer narrows it.
    let direction = given(lines).or_else(|| given(session)).unwrap_or_else(|| "a=sendrecv".into());
    if direction == "a=sendrecv" || direction.trim_start_matches("a=") == role.offered_direction() {
        return Ok(());
    }
    Err(not_acceptable(format!("an m-line is {}, not {}", &direction[2..], role.offered_direction())))
}

/// Renders a section; a media section gets the direction of the role.
fn rendered(lines: &[&str], role: Option<Role>, is_simulcast: bool) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| is_kept(line, is_simulcast)) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if let Some(role) = role {
        text.push_str(&format!("a={}\r\n", role.offered_direction()));
    }
    text
}

fn is_kept(line: &str, is_simulcast: bool) -> bool {
    // An ICE-lite agent sends no checks, so it has no use for candidates: it learns an address from the checks that
    // come (RFC 8445 §7.3.1.3).
    let is_ice = line.starts_with("a=candidate:") || line == "a=end-of-candidates";
    // The extensions too: str0m would keep packets that name an encoding apart from those that do not.
    let is_of_encodings = line.starts_with("a=simulcast:")
        || line.starts_with("a=rid:")
        || (line.starts_with("a=extmap:") && ENCODING_EXTENSIONS.iter().any(|uri| line.ends_with(uri)));
    let is_bundle = line.starts_with("a=group:BUNDLE");
    !is_ice && (is_simulcast || !is_of_encodings) && !is_bundle && !DIRECTIONS.contains(&line)
}

/// Holds what a PATCH may say that matters to an ICE-lite agent: credentials (RFC 8840 §9,
/// `application/trickle-ice-sdpfrag`). Candidates are taken and forgotten.
#[derive(Debug)]
pub struct IceFragment {
    /// The credentials, when the fragment has both.
    pub creds: Option<IceCreds>,
}

impl IceFragment {
    /// Parses a fragment.
    ///
    /// # Errors
    /// [`OfferError::Malformed`] when a line is not SDP or only one half of the credentials is there.
    pub fn parse(text: &str) -> Result<Self, OfferError> {
        let (mut ufrag, mut pass) = (None, None);
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.as_bytes().get(1) != Some(&b'=') {
                return Err(malformed("a line is not of the form x=value"));
            }
            if let Some(value) = line.strip_prefix("a=ice-ufrag:") {
                ufrag = Some(ice_text(value, 4)?);
            } else if let Some(value) = line.strip_prefix("a=ice-pwd:") {
                pass = Some(ice_text(value, 22)?);
            }
        }
        let creds = match (ufrag, pass) {
            (Some(ufrag), Some(pass)) => Some(IceCreds { ufrag, pass }),
            (None, None) => None,
            _ => return Err(malformed("ice-ufrag and ice-pwd come together")),
        };
        Ok(Self { creds })
    }
}

/// Checks the length and alphabet of a user fragment or password (RFC 8839 §5.4).
fn ice_text(value: &str, min_chars: usize) -> Result<String, OfferError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=');
    if value.len() < min_chars || value.len() > 256 || !value.bytes().all(allowed) {
        return Err(malformed("ice-ufrag or ice-pwd is not of the form that RFC 8839 asks for"));
    }
    Ok(value.into())
}

fn malformed(why: &str) -> OfferError {
    OfferError::Malformed(why.into())
}

fn not_acceptable(why: String) -> OfferError {
    OfferError::NotAcceptable(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
        a=rtpmap:111 opus/48000/2\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendrecv\r\na=rtcp-mux\r\n\
        a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\n\
        a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n\
        a=candidate:1 1 udp 2113937151 5f1c9f6e-aaaa.local 54321 typ host\r\n\
        a=candidate:2 1 udp 2113937151 192.0.2.1 54321 typ host\r\n\
        a=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn an_offer_is_narrowed_to_its_role() {
        let offer = Offer::parse(OFFER, Role::Publisher).unwrap();
        assert!(!offer.text.contains("sendrecv"));
        assert!(!offer.text.contains("a=candidate"));
        assert!(offer.text.contains("a=group:BUNDLE 0 1\r\n"));
        let kinds: Vec<_> = offer.tracks().iter().map(|track| track.kind).collect();
        assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video]);
    }

    #[test]
    fn simulcast_is_taken_as_a_whole_or_not_at_all() {
        let rids = |lines: &str, role| {
            let extension = "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n";
            let offer = Offer::parse(&format!("{OFFER}{extension}{lines}"), role);
            let offer = offer.unwrap_or_else(|error| panic!("{lines:?}: {error}"));
            let encodings = offer.tracks()[1].encodings.clone();
            assert_eq!(offer.text.contains("a=simulcast"), !encodings.is_empty(), "{lines:?}");
            assert_eq!(offer.text.contains("rtp-stream-id"), !encodings.is_empty(), "{lines:?}");
            encodings
        };
        let three = "a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;~f\r\n";
        assert_eq!(rids(three, Role::Publisher), ["q", "h", "f"]);
        // Nothing would tell its packets apart.
        let offer = Offer::parse(&format!("{OFFER}{three}"), Role::Publisher).unwrap();
        assert!(offer.tracks()[1].encodings.is_empty() && !offer.text.contains("a=rid"));
        let none = [
            "",
            "a=rid:q send\r\na=simulcast:send q;h\r\n",
            "a=rid:q send\r\na=simulcast:send q;q\r\n",
            "a=rid:q send\r\na=simulcast:send q\r\n",
            "a=rid:q send\r\na=rid:h recv\r\na=simulcast:send q;h\r\n",
            "a=rid:q send\r\na=rid:h send max-width=640\r\na=simulcast:send q;h\r\n",
            "a=rid:q send\r\na=rid:h send\r\na=simulcast:send q,h;h\r\n",
            "a=rid:aLongName send\r\na=rid:h send\r\na=simulcast:send aLongName;h\r\n",
            "a=rid:1 send\r\na=rid:2 send\r\na=rid:3 send\r\na=rid:4 send\r\na=simulcast:send 1;2;3;4\r\n",
        ];
        for lines in none {
            assert_eq!(rids(lines, Role::Publisher), [""; 0], "{lines:?}");
        }
        let viewer = OFFER.replace("a=sendonly", "a=recvonly");
        let offer = Offer::parse(&format!("{viewer}{three}"), Role::Viewer).unwrap();
        assert!(offer.tracks()[1].encodings.is_empty() && !offer.text.contains("a=rid"));
    }

    #[test]
    fn what_whip_forbids_is_not_acceptable() {
        let cases = [
            (OFFER.replace("a=sendonly", "a=recvonly"), "direction (W3)"),
            (OFFER.replace("BUNDLE 0 1", "BUNDLE 0"), "not bundled (W5)"),
            (OFFER.replacen("a=rtcp-mux\r\n", "", 1), "no rtcp-mux (W5)"),
            (OFFER.replace("m=audio", "m=video"), "two videos (W5)"),
            (OFFER.replace("m=audio", "m=application"), "data channel"),
            (
                OFFER.replace("a=mid:0", "a=mid:audio-0").replace("BUNDLE 0", "BUNDLE audio-0"),
                "a mid that str0m would change",
            ),
            (
                OFFER.replace("SAVPF 111", "SAVPF 96").replace("rtpmap:111", "rtpmap:96"),
                "one payload type for two codecs",
            ),
            (format!("{OFFER}a=rtpmap:96 VP9/90000\r\n"), "one payload type mapped twice"),
            (format!("{OFFER}a=fmtp:97 apt=96\r\na=fmtp:97 apt=98\r\n"), "one repair for two"),
        ];
        for (text, why) in cases {
            assert!(matches!(Offer::parse(&text, Role::Publisher), Err(OfferError::NotAcceptable(_))), "{why}");
        }
    }

    #[test]
    fn what_is_not_sdp_is_malformed() {
        for text in ["", "hello", "v=0", "v=0\r\nm=audio", "v=0\r\nnonsense\r\n", "{\"sdp\":\"\"}"] {
            assert!(
                matches!(
                    Offer::parse(text, Role::Viewer),
                    Err(OfferError::Malformed(_) | OfferError::NotAcceptable(_))
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_group_may_have_another_order_than_the_m_lines() {
        let offer = Offer::parse(&OFFER.replace("BUNDLE 0 1", "BUNDLE 1 0"), Role::Publisher).unwrap();
        assert!(offer.text.contains("a=group:BUNDLE 0 1\r\n"));
    }

    #[test]
    fn a_restart_replaces_credentials() {
        let creds = IceCreds { ufrag: "wxyz".into(), pass: "0123456789012345678901".into() };
        let offer = Offer::parse(OFFER, Role::Publisher).unwrap().with_credentials(&creds);
        assert!(offer.text.contains("a=ice-ufrag:wxyz") && !offer.text.contains("abcd\r"));
        assert!(offer.to_str0m().is_ok());
    }

    #[test]
    fn fragments_tell_trickle_from_restart() {
        let trickle =
            IceFragment::parse("a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\na=candidate:x\r\n").unwrap();
        assert!(trickle.creds.is_none());
        let restart = IceFragment::parse("a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n").unwrap();
        assert_eq!(restart.creds.map(|creds| creds.ufrag), Some("EsAw".into()));
        assert!(IceFragment::parse("a=ice-ufrag:EsAw\n").is_err());
        assert!(IceFragment::parse("junk").is_err());
    }
}
