//! `/live/{room}.mp4`: the live stream as one endless MP4, for programs that know neither WebRTC nor HLS.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use onair_actors::live_window::Waiter;
use onair_recorder::window::{Next, Tail};

use crate::guard::{admit, room_name};
use crate::problem::Problem;
use crate::server::readable;
use crate::state::AppState;

/// How often a reader may be too slow for the window before it is cut off: it will not be faster.
const SKIPS_MAX: u32 = 3;

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config.service(readable("/live/{room}.mp4").route(web::get().to(get)).route(web::head().to(head)));
}

/// Answers with everything from the newest keyframe on, for as long as the broadcast lasts.
async fn get(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    admit(&request, &state, &room)?;
    // Who comes as the first one to a camera gets its stream when there is a segment of it.
    state.multivariant(&room).await;
    let Some(window) = state.live.newest(&room) else {
        state.room(&room).await?;
        return Err(Problem::hls_not_ready(&room));
    };
    let (header, tail) = window.tail().ok_or_else(|| Problem::hls_not_ready(&room))?;
    let client = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let waiter = Arc::clone(&window).admit(&state.live, client);
    let waiter = waiter.ok_or_else(|| Problem::overloaded("too many requests wait for what comes next"))?;
    let reader = Reader { waiter, tail, queue: VecDeque::from([header]), skips: 0 };
    Ok(described().streaming(reader.into_stream()))
}

/// Tells whether there is such a stream.
async fn head(
    request: HttpRequest,
    path: web::Path<String>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let room = room_name(&path)?;
    admit(&request, &state, &room)?;
    let is_there = state.live.newest(&room).is_some_and(|window| window.tail().is_some());
    if is_there { Ok(described().finish()) } else { Err(Problem::hls_not_ready(&room)) }
}

fn described() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.content_type("video/mp4").insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// Reads a live window at the pace of its connection.
struct Reader {
    waiter: Waiter,
    tail: Tail,
    /// What is to be sent before the window is asked again: a segment of each rendition at most.
    queue: VecDeque<Bytes>,
    skips: u32,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> {
        stream::unfold(self, async |mut reader| Some((Ok(reader.next().await?), reader)))
    }

    /// Returns what is sent next, when it is there, or `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        while self.queue.is_empty() {
            match self.waiter.window().follow(&mut self.tail).await {
                Next::Parts(parts) => self.queue.extend(parts),
                Next::Skipped(parts) => {
                    self.skips += 1;
                    if self.skips > SKIPS_MAX {
                        return None;
                    }
                    self.queue.extend(parts);
                }
                Next::Over => return None,
            }
        }
        self.queue.pop_front()
    }
}
