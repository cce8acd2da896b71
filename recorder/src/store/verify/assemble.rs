//! Puts an MP4 together from segments that are stored.

use std::collections::HashMap;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use onair_media::MediaKind;

use super::fetch::{Fetched, Recording, SEGMENT_MAX_BYTES};
use crate::object::ObjectName;
use crate::progressive::{Mp4Layout, Piece};
use crate::store::StoreError;

/// Streams a file of [`Mp4Layout::total_bytes`], with one segment of each rendition in memory at a time.
pub(super) fn assembled<'a>(
    recording: Recording<'a>,
    layout: &'a Mp4Layout,
) -> impl Stream<Item = Result<Bytes, StoreError>> + 'a {
    let begin = (layout.pieces.iter(), HashMap::new());
    let pieces = stream::try_unfold(begin, move |(mut pieces, mut open)| async move {
        let Some(piece) = pieces.next() else { return Ok(None) };
        let bytes = piece_bytes(recording, piece, &mut open).await?;
        Ok(Some((bytes, (pieces, open))))
    });
    stream::once(std::future::ready(Ok(layout.header.clone()))).chain(pieces)
}

/// Returns a piece of a segment, which is fetched whole: its other pieces come next.
async fn piece_bytes(
    recording: Recording<'_>,
    piece: &Piece,
    open: &mut HashMap<MediaKind, (u64, Bytes)>,
) -> Result<Bytes, StoreError> {
    // It was read a moment ago; whatever changed since, it is not the segment that the header tells of.
    let name = ObjectName::numbered(piece.kind, piece.msn);
    let gone = || StoreError::NotFound { path: format!("{}/{}/{name}", recording.room, recording.recording) };
    if open.get(&piece.kind).is_none_or(|(msn, _)| *msn != piece.msn) {
        let Fetched::Whole(bytes) = recording.read(&name, SEGMENT_MAX_BYTES).await? else { return Err(gone()) };
        open.insert(piece.kind, (piece.msn, bytes));
    }
    let (_, bytes) = open.get(&piece.kind).ok_or_else(gone)?;
    let range = usize::try_from(piece.range.start).ok().zip(usize::try_from(piece.range.end).ok());
    let range = range.filter(|(start, end)| start <= end && *end <= bytes.len()).ok_or_else(gone)?;
    Ok(bytes.slice(range.0..range.1))
}
