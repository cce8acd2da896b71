//! What viewers get is protected as libsrtp understands it, in each profile that DTLS may choose (RFC 5764 §4.1.2,
//! RFC 7714 §14.2).

use std::time::Duration;

use crate::support::{Server, alone, publish, python};

const PROFILES: [&str; 3] = ["SRTP_AES128_CM_SHA1_80", "SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM"];

#[test]
fn libsrtp_opens_every_profile() {
    let _alone = alone();
    let server = Server::start();
    let _publisher = publish("h264-opus.mp4", &server.url("/whip/room"), &["--loop"]);
    server.wait_until_live("room");
    for profile in PROFILES {
        let mut viewer = python("aiortc_view.py", &[&server.url("/whep/room"), "1", profile]);
        for kind in ["video", "audio"] {
            viewer.wait_for(&format!("{kind} under {profile}"), Duration::from_secs(25), |event| {
                event["event"] == kind && event["frames"].as_u64() > Some(60)
            });
        }
        let summary = viewer.finish();
        for kind in ["video", "audio"] {
            assert_eq!(summary["viewers"][0][kind]["lost"], 0, "{profile}: {summary}");
        }
    }
}
