//! PATCH on a session (RFC 9725 §4.4), the same for one that waits in its room and for one that is run.

use std::time::Instant;

use actix::prelude::*;

use crate::core::offer::{IceFragment, OfferError};
use crate::core::session::Session;
use crate::directory::Registration;
use crate::session_id::ETag;

/// Trickles candidates or restarts ICE. Returns the answer, or why not. *Reliable.*
#[derive(Debug, Message)]
#[rtype(result = "Result<Patched, PatchError>")]
pub struct Patch {
    /// The body, parsed.
    pub fragment: IceFragment,
    /// The `If-Match` header.
    pub if_match: Option<String>,
}

/// The answer to a [`Patch`].
#[derive(Debug)]
pub enum Patched {
    /// Candidates were taken in.
    Trickled,
    /// ICE restarted: the fragment of our side and the new tag.
    Restarted {
        /// `application/trickle-ice-sdpfrag`.
        fragment: String,
        /// Names the new ICE generation.
        etag: ETag,
    },
}

/// Says why a [`Patch`] was refused; the session goes on.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// There is no such session, or not any more.
    #[error("there is no such session")]
    NoSession,
    /// No `If-Match` (RFC 6585 §3).
    #[error("If-Match is missing")]
    TagMissing,
    /// `If-Match` names another ICE generation.
    #[error("If-Match names another ICE generation")]
    TagMismatch {
        /// The tag of the present one.
        current: ETag,
    },
    /// The fragment was refused.
    #[error(transparent)]
    Offer(#[from] OfferError),
}

impl Patch {
    /// Applies this to a session; after a restart it is known by its new tag and user fragment.
    pub(crate) fn apply(
        self,
        session: &mut Session,
        etag: &mut ETag,
        registration: &Registration,
        now: Instant,
    ) -> Result<Patched, PatchError> {
        let if_match = self.if_match.ok_or(PatchError::TagMissing)?;
        if !etag.is_matched_by(&if_match) {
            return Err(PatchError::TagMismatch { current: etag.clone() });
        }
        match session.patch(self.fragment, now)? {
            None => Ok(Patched::Trickled),
            Some(fragment) => {
                *etag = ETag::random();
                registration.rename(session.local_ufrag());
                Ok(Patched::Restarted { fragment, etag: etag.clone() })
            }
        }
    }
}
