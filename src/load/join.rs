//! How viewers come and go: the HTTP of WHEP, which is that of WHIP.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout};
use url::Url;

use super::LoadError;
use super::audience::{Audience, Shared};
use super::viewer::{Identity, Offered, Seat, Viewer};
use crate::config::Secret;
use crate::publish::whip::{Endpoint, WhipError};

/// How long a server may take until it knows of the publisher.
const NOT_LIVE_FOR: Duration = Duration::from_secs(10);

/// The time between two attempts meanwhile.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Sessions that are ended at the same time, and how long that may take.
const ENDING_AT_ONCE: usize = 32;
const END_WITHIN: Duration = Duration::from_secs(10);

/// Lets viewers in and out.
#[derive(Clone)]
pub(crate) struct Doors(Rc<Inner>);

struct Inner {
    rooms: Vec<Url>,
    http: Client,
    token: Option<Secret>,
    identity: Identity,
    audience: Shared,
    /// How many were let in so far: the next goes to the next room.
    let_in: Cell<usize>,
    /// How many of them have no answer yet.
    knocking: Cell<usize>,
    /// Who has an answer, in order.
    inside: RefCell<VecDeque<usize>>,
}

impl Doors {
    /// Prepares to let viewers into rooms.
    ///
    /// # Errors
    /// [`LoadError::Certificate`].
    pub(crate) fn new(rooms: Vec<Url>, token: Option<Secret>, audience: Shared) -> Result<Self, LoadError> {
        Ok(Self(Rc::new(Inner {
            rooms,
            http: Client::new(),
            token,
            identity: Identity::new()?,
            audience,
            let_in: Cell::new(0),
            knocking: Cell::new(0),
            inside: RefCell::default(),
        })))
    }

    /// Begins to let one viewer in.
    pub(crate) fn let_in(&self) {
        let inner = Rc::clone(&self.0);
        let number = inner.let_in.replace(inner.let_in.get() + 1);
        inner.knocking.set(inner.knocking.get() + 1);
        spawn_local(async move {
            match Audience::seat(&inner.audience) {
                Ok(seat) => inner.admit(number, seat).await,
                Err(error) => inner.audience.borrow_mut().totals.lost(&error.to_string(), false),
            }
            inner.knocking.set(inner.knocking.get() - 1);
        });
    }

    /// Returns how many are neither in nor turned away.
    pub(crate) fn waiting(&self) -> usize {
        let totals = &self.0.audience.borrow().totals;
        self.0.let_in.get().saturating_sub((totals.joined + totals.failed) as usize)
    }

    /// Returns how many got in, and why the first did not.
    pub(crate) fn outcome(&self) -> (u64, Option<String>) {
        let totals = &self.0.audience.borrow().totals;
        (totals.joined, totals.first_failure.clone())
    }

    /// Lets the viewer out that has been here longest, and another one in.
    pub(crate) fn replace_oldest(&self) {
        let Some(slot) = self.0.inside.borrow_mut().pop_front() else { return };
        let session = self.0.audience.borrow_mut().leave(slot);
        let inner = Rc::clone(&self.0);
        spawn_local(async move {
            if let Some(session) = session {
                inner.endpoint(0).delete(session).await;
            }
        });
        self.let_in();
    }

    /// Lets everybody out.
    pub(crate) async fn close(&self) {
        let slots: Vec<usize> = self.0.inside.borrow_mut().drain(..).collect();
        let mut sessions: Vec<Url> =
            slots.into_iter().filter_map(|slot| self.0.audience.borrow_mut().leave(slot)).collect();
        let all = async {
            let mut ending = JoinSet::new();
            while !sessions.is_empty() || !ending.is_empty() {
                while ending.len() < ENDING_AT_ONCE
                    && let Some(session) = sessions.pop()
                {
                    let inner = Rc::clone(&self.0);
                    ending.spawn_local(async move { inner.endpoint(0).delete(session).await });
                }
                ending.join_next().await;
            }
        };
        // A server that does not answer finds out by itself: nobody is there any more.
        let _in_vain = timeout(END_WITHIN, all).await;
    }
}

impl Inner {
    fn endpoint(&self, number: usize) -> Endpoint {
        Endpoint::over(self.http.clone(), self.rooms[number % self.rooms.len()].clone(), self.token.clone())
    }

    async fn admit(&self, number: usize, seat: Seat) {
        let slot = seat.slot;
        match self.knock(number, &seat).await {
            Ok(viewer) => {
                self.audience.borrow_mut().sit(viewer);
                self.inside.borrow_mut().push_back(slot);
            }
            Err(error) => self.audience.borrow_mut().turned_away(&seat, &error.to_string()),
        }
    }

    async fn knock(&self, number: usize, seat: &Seat) -> Result<Viewer, LoadError> {
        let endpoint = self.endpoint(number);
        let samples = self.audience.borrow().samples(number);
        let came_at = Instant::now();
        loop {
            let offered = Offered::new(&self.identity, seat.local)?;
            let posted_at = Instant::now();
            match endpoint.post(offered.offer.clone()).await {
                Ok(granted) => {
                    let viewer = Viewer::new(offered, &granted.answer, seat.clone(), posted_at, samples);
                    return viewer.map(|viewer| viewer.with_session(granted.session));
                }
                Err(WhipError::Refused { status, .. }) if is_early(status) && came_at.elapsed() < NOT_LIVE_FOR => {
                    sleep(TRY_AGAIN_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Tells whether a status may mean that nothing is published yet, or that there is too much to do.
fn is_early(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE)
}
