//! What an RTSP session brings, on its way into the room.

use std::sync::Arc;

use actix::prelude::*;
use onair_media::{PacketBatch, RtpPacket};
use retina::codec::CodecItem;
use retina::rtcp::ReceivedCompoundPacket;
use tracing::debug;

use super::connect::PullError;
use super::{Link, RtspSource};
use crate::core::pulled::PulledFrame;
use crate::room::Media;

impl StreamHandler<Result<CodecItem, retina::Error>> for RtspSource {
    fn handle(&mut self, item: Result<CodecItem, retina::Error>, ctx: &mut Self::Context) {
        // A session that was let go of may have something left to say.
        if !matches!(self.link, Link::Playing(_)) {
            return;
        }
        match item {
            Ok(CodecItem::VideoFrame(frame)) => {
                let (timestamp, lost_packets) = (frame.timestamp().timestamp(), frame.loss());
                let received_at = frame.end_ctx().received();
                let pulled = PulledFrame { data: frame.data(), timestamp, lost_packets, received_at };
                self.frame(frame.stream_id(), pulled, ctx);
            }
            Ok(CodecItem::AudioFrame(frame)) => {
                let (timestamp, lost_packets) = (frame.timestamp().timestamp(), frame.loss());
                let received_at = frame.ctx().received();
                let pulled = PulledFrame { data: frame.data(), timestamp, lost_packets, received_at };
                self.frame(frame.stream_id(), pulled, ctx);
            }
            Ok(CodecItem::Rtcp(report)) => self.report(&report),
            Ok(_) => {}
            // Whatever it is, the client does not go on behind it.
            Err(error) => {
                self.lost(&PullError::of(&error, &self.camera).to_string(), ctx);
                self.settle(ctx);
            }
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        if matches!(self.link, Link::Playing(_)) {
            self.lost("the camera ended the session", ctx);
            self.settle(ctx);
        }
    }
}

impl RtspSource {
    /// Hands a frame to the room, in packets.
    fn frame(&mut self, stream: usize, frame: PulledFrame<'_>, ctx: &mut Context<Self>) {
        let Link::Playing(playing) = &mut self.link else { return };
        let Some((_, track)) = playing.tracks.iter_mut().find(|(other, _)| *other == stream) else { return };
        match track.frame(frame) {
            Ok(packets) if packets.is_empty() => {}
            Ok(packets) => {
                self.pull.heard(frame.received_at);
                self.publish(packets, ctx);
            }
            Err(error) => {
                self.counts.malformed_frames += 1;
                debug!(room = %self.camera.room, %error, "a frame of the camera is left out");
            }
        }
    }

    fn publish(&mut self, packets: Vec<RtpPacket>, ctx: &mut Context<Self>) {
        let (Link::Playing(playing), Some(room)) = (&mut self.link, &self.room) else { return };
        let count = packets.len() as u64;
        let batch = Arc::new(PacketBatch { source: playing.source, packets });
        let sent = room.addr.try_send(Media { batch, after_gap: playing.is_room_behind });
        playing.is_room_behind = sent.is_err();
        match sent {
            Ok(()) => {}
            Err(SendError::Full(_)) => self.counts.dropped_packets += count,
            Err(SendError::Closed(_)) => {
                self.room = None;
                self.lost("the room is gone", ctx);
                self.settle(ctx);
            }
        }
    }

    fn report(&mut self, report: &ReceivedCompoundPacket) {
        let Link::Playing(playing) = &mut self.link else { return };
        let Some(timestamp) = report.rtp_timestamp() else { return };
        let Some(Ok(Some(sender))) = report.pkts().next().map(|packet| packet.as_sender_report()) else { return };
        if let Some((_, track)) = playing.tracks.iter_mut().find(|(stream, _)| *stream == report.stream_id()) {
            track.note_report(sender.ntp_timestamp().0, timestamp.timestamp());
        }
    }
}
