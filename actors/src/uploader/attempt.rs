//! One attempt to store something, and where its bytes come from.

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use onair_recorder::progressive::Source;
use onair_recorder::{ObjectName, ObjectPath, PartId, Piece, Spool, Store, StoreError, UploadId, sha256};

use super::{Content, Outcome, StoredObject};

/// Stores it, and asks the store whether it has it.
pub(super) async fn attempt(
    store: &Store,
    spool: &Spool,
    to: &ObjectPath,
    content: &Content,
) -> Result<Outcome, StoreError> {
    match content {
        Content::Bytes(bytes) => put(store, to, bytes.clone()).await,
        Content::Spooled(_) => {
            let bytes = spool.read(to, None).await.map_err(|error| unreadable(to, error))?;
            put(store, to, bytes).await
        }
        Content::Whole(from, _) => {
            let bytes = fetch_all(store, spool, to, from).await?.concat();
            put(store, to, bytes.into()).await
        }
        Content::Upload => Ok(Outcome::Begun(store.begin_upload(to).await?)),
        Content::Part { upload, index, from } => {
            let bytes = fetch_all(store, spool, to, from).await?;
            put_part(store, to, upload, *index, bytes).await
        }
        Content::Complete { upload, parts, bytes } => complete(store, to, upload, parts.clone(), *bytes).await,
    }
}

async fn put(store: &Store, to: &ObjectPath, bytes: Bytes) -> Result<Outcome, StoreError> {
    let object = StoredObject { bytes: bytes.len() as u64, sha256: onair_recorder::sha256_hex(&bytes) };
    store.put(to, bytes).await?;
    store.confirm(to, object.bytes).await?;
    Ok(Outcome::Stored(object))
}

async fn put_part(
    store: &Store,
    to: &ObjectPath,
    upload: &UploadId,
    index: u64,
    chunks: Vec<Bytes>,
) -> Result<Outcome, StoreError> {
    let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
    let sha256 = sha256(&chunks);
    let position = usize::try_from(index).unwrap_or(usize::MAX);
    let id = store.put_part(to, upload, position, chunks).await?;
    Ok(Outcome::Part { index, id, bytes, sha256 })
}

/// Completes an upload. One that is gone may be complete already, by an attempt whose answer was lost.
async fn complete(
    store: &Store,
    to: &ObjectPath,
    upload: &UploadId,
    parts: Vec<PartId>,
    bytes: u64,
) -> Result<Outcome, StoreError> {
    let count = parts.len();
    match store.complete_upload(to, upload, parts).await {
        Ok(()) => store.confirm(to, bytes).await?,
        Err(gone @ StoreError::UploadGone { .. }) => {
            store.confirm_upload(to, bytes, count).await.map_err(|error| match error {
                StoreError::Unconfirmed { .. } => gone,
                unanswered => unanswered,
            })?;
        }
        Err(error) => return Err(error),
    }
    Ok(Outcome::Completed { bytes })
}

/// Gets the bytes of a part together.
async fn fetch_all(store: &Store, spool: &Spool, to: &ObjectPath, from: &[Source]) -> Result<Vec<Bytes>, StoreError> {
    let mut chunks = Vec::with_capacity(from.len());
    for source in from {
        chunks.push(fetch(store, spool, to, source).await?);
    }
    Ok(chunks)
}

async fn fetch(store: &Store, spool: &Spool, to: &ObjectPath, source: &Source) -> Result<Bytes, StoreError> {
    match source {
        Source::Header(range) => {
            let header = spool.read_header(&to.room, &to.recording, range.clone()).await;
            header.map_err(|error| unreadable(to, error))
        }
        Source::Piece(piece) => fetch_piece(store, spool, to, piece).await,
        Source::Zeros(count) => Ok(vec![0; usize::try_from(*count).unwrap_or_default()].into()),
    }
}

/// Reads a piece of a segment from the spool, or from the store when the spool has it no more.
async fn fetch_piece(store: &Store, spool: &Spool, to: &ObjectPath, piece: &Piece) -> Result<Bytes, StoreError> {
    let segment = ObjectPath::new(&to.room, &to.recording, ObjectName::numbered(piece.kind, piece.msn));
    let here = match spool.read(&segment, Some(piece.range.clone())).await {
        Ok(bytes) => return Ok(bytes),
        Err(error) => error,
    };
    match store.get_range(&segment, Some(piece.range.clone())).await {
        Ok(download) => {
            let chunks: Vec<Bytes> = download.stream.try_collect().await?;
            let bytes = Bytes::from(chunks.concat());
            let is_whole = bytes.len() as u64 == piece.bytes();
            if is_whole { Ok(bytes) } else { Err(unreadable(&segment, "the stored segment is too short")) }
        }
        // Not there, so what counts is why it cannot be had here.
        Err(StoreError::NotFound { .. } | StoreError::Range { .. }) => Err(unreadable(&segment, here)),
        Err(error) => Err(error),
    }
}

/// Says that what is to be stored cannot be had.
fn unreadable(object: &ObjectPath, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Source { path: object.to_string(), source: error.into() }
}
