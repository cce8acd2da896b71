//! What a WHEP server's SDP answer says about the packets to come (RFC 8866), as far as a counting viewer needs it.

use onair_media::{Codec, MediaKind};

/// The URI of the transport-wide sequence number.
const TRANSPORT_SEQUENCE_NUMBER: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// What packets with a payload type are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Media.
    Media(Codec),
    /// Packets of this kind, sent again (RFC 4588).
    Repair(MediaKind),
}

/// The negotiated session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Negotiated {
    uses: Vec<(u8, Use)>,
    /// The streams that the answer names.
    pub(crate) video_ssrc: Option<u32>,
    /// Whether packets of each kind may be asked for again.
    pub(crate) video_nack: bool,
    /// The same of sound.
    pub(crate) audio_nack: bool,
    /// Whether the server wants to know the bitrate that would fit.
    pub(crate) remb: bool,
    /// The RTP header extension with the transport-wide sequence number, where feedback on it is wanted.
    pub(crate) transport_extension: Option<u8>,
}

impl Negotiated {
    /// Reads an answer. What is unknown in it is left out.
    pub(crate) fn parse(answer: &str) -> Self {
        let mut negotiated = Self::default();
        let sections = answer.split("\nm=").skip(1);
        for section in sections {
            let kind = match section.split_whitespace().next() {
                Some("video") => MediaKind::Video,
                Some("audio") => MediaKind::Audio,
                _ => continue,
            };
            negotiated.section(kind, section);
        }
        negotiated
    }

    /// Tells what a payload type is for.
    pub(crate) fn use_of(&self, payload_type: u8) -> Option<Use> {
        self.uses.iter().find(|(known, _)| *known == payload_type).map(|(_, what)| *what)
    }

    /// Tells whether there will be media.
    pub(crate) fn has_media(&self) -> bool {
        self.uses.iter().any(|(_, what)| matches!(what, Use::Media(_)))
    }

    fn section(&mut self, kind: MediaKind, section: &str) {
        let lines = || section.lines().filter_map(|line| line.trim_end().strip_prefix("a="));
        for (payload_type, rest) in lines().filter_map(|line| line.strip_prefix("rtpmap:")).filter_map(numbered) {
            let name = rest.split('/').next().unwrap_or_default();
            let what = match codec(name) {
                Some(codec) => Use::Media(codec),
                None if name.eq_ignore_ascii_case("rtx") => Use::Repair(kind),
                None => continue,
            };
            self.uses.push((payload_type, what));
        }
        let feedback = |wanted: &str| {
            let of_feedback = lines().filter_map(|line| line.strip_prefix("rtcp-fb:"));
            of_feedback.filter_map(|line| line.split_once(' ')).any(|(_, what)| what.trim() == wanted)
        };
        let extension = lines().filter_map(|line| line.strip_prefix("extmap:")).find_map(|line| {
            let (id, uri) = line.split_once(' ')?;
            let id = id.split('/').next()?.parse().ok()?;
            (uri.split(' ').next() == Some(TRANSPORT_SEQUENCE_NUMBER)).then_some(id)
        });
        if feedback("transport-cc") && extension.is_some() {
            self.transport_extension = extension;
        }
        self.remb |= feedback("goog-remb");
        let ssrc = lines()
            .filter_map(|line| line.strip_prefix("ssrc:"))
            .find_map(|line| line.split(' ').next().and_then(|ssrc| ssrc.parse().ok()));
        match kind {
            MediaKind::Video => (self.video_nack, self.video_ssrc) = (feedback("nack"), ssrc),
            MediaKind::Audio => self.audio_nack = feedback("nack"),
        }
    }
}

fn numbered(line: &str) -> Option<(u8, &str)> {
    let (number, rest) = line.split_once(' ')?;
    Some((number.parse().ok()?, rest))
}

fn codec(name: &str) -> Option<Codec> {
    let known = [
        ("H264", Codec::H264),
        ("H265", Codec::H265),
        ("VP8", Codec::Vp8),
        ("VP9", Codec::Vp9),
        ("AV1", Codec::Av1),
        ("opus", Codec::Opus),
    ];
    known.iter().find(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, codec)| *codec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\nm=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n\
        a=rtpmap:108 H264/90000\r\na=rtcp-fb:108 nack\r\na=rtcp-fb:108 nack pli\r\na=rtcp-fb:* transport-cc\r\n\
        a=rtpmap:109 rtx/90000\r\na=fmtp:109 apt=108\r\n\
        a=extmap:3/sendonly http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=ssrc:77 cname:x\r\na=ssrc:78 cname:x\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n";

    #[test]
    fn an_answer_names_payload_types_and_feedback() {
        let negotiated = Negotiated::parse(ANSWER);
        assert_eq!(negotiated.use_of(108), Some(Use::Media(Codec::H264)));
        assert_eq!(negotiated.use_of(109), Some(Use::Repair(MediaKind::Video)));
        assert_eq!(negotiated.use_of(111), Some(Use::Media(Codec::Opus)));
        assert_eq!(negotiated.use_of(0), None);
        assert_eq!((negotiated.video_ssrc, negotiated.transport_extension), (Some(77), Some(3)));
        assert_eq!((negotiated.video_nack, negotiated.audio_nack, negotiated.remb), (true, false, false));
        assert!(negotiated.has_media() && !Negotiated::parse("v=0\r\n").has_media());
    }
}
