//! SDP offers as a browser writes them, without a peer behind them.

/// Builds an offer with audio and video in one BUNDLE group.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    direction: &'static str,
    setup: &'static str,
    video: Option<&'static str>,
    ufrag: &'static str,
}

const H264: &str = "a=rtpmap:96 H264/90000\n\
    a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
    a=rtcp-fb:96 nack\na=rtcp-fb:96 nack pli\na=rtcp-fb:96 transport-cc\n\
    a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n";

impl Offer {
    /// What a publisher offers: H.264 and Opus.
    pub(crate) fn publisher() -> Self {
        Self { direction: "sendonly", setup: "actpass", video: Some(H264), ufrag: "EsAw" }
    }

    /// What a viewer offers.
    pub(crate) fn viewer() -> Self {
        Self { direction: "recvonly", ..Self::publisher() }
    }

    /// Changes the direction of both m-lines.
    pub(crate) fn direction(self, direction: &'static str) -> Self {
        Self { direction, ..self }
    }

    /// Changes who begins with DTLS.
    pub(crate) fn setup(self, setup: &'static str) -> Self {
        Self { setup, ..self }
    }

    /// Leaves the video out.
    pub(crate) fn audio_only(self) -> Self {
        Self { video: None, ..self }
    }

    /// Offers the codec of these lines, payload type 96, as the only one.
    pub(crate) fn video(self, lines: &'static str) -> Self {
        Self { video: Some(lines), ..self }
    }

    /// Renders it.
    pub(crate) fn sdp(&self) -> String {
        let mids = if self.video.is_some() { "0 1" } else { "0" };
        let mut sdp = format!(
            "v=0\no=- 4611731400430051336 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n\
             a=group:BUNDLE {mids}\na=extmap-allow-mixed\na=msid-semantic: WMS *\n"
        );
        sdp += &self.section("audio", "111", 0, "a=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n");
        if let Some(lines) = self.video {
            let payload_types = if lines.contains(":97 ") { "96 97" } else { "96" };
            sdp += &self.section("video", payload_types, 1, lines);
        }
        sdp.replace('\n', "\r\n")
    }

    fn section(&self, kind: &str, payload_types: &str, mid: u8, codecs: &str) -> String {
        let Self { direction, setup, ufrag, .. } = self;
        let msid = if *direction == "recvonly" {
            String::new()
        } else {
            format!("a=msid:- {kind}\na=ssrc:{}7 cname:x\n", mid + 1)
        };
        format!(
            "m={kind} 9 UDP/TLS/RTP/SAVPF {payload_types}\nc=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\n\
             a=ice-ufrag:{ufrag}\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na=ice-options:trickle\n\
             a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:\
             BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\n\
             a=setup:{setup}\na=mid:{mid}\na={direction}\n{msid}a=rtcp-mux\na=rtcp-rsize\n{codecs}"
        )
    }
}
