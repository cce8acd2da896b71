//! The HTTP server: routes, cross-origin rules, and what every answer has in common.

use std::io;
use std::net::TcpListener;

use actix_cors::Cors;
use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpServer, Resource, web};
use tracing::debug;

use crate::problem::{ACCEPT_POST, Problem};
use crate::state::AppState;
use crate::{
    clips, events, health, hls, live_mp4, metrics, pages, record, recordings, rooms, signalling, snapshot, sources,
    tickets,
};

/// What scripts of other origins may read (RFC 9725 §4.2 needs the first three).
const EXPOSED: [&str; 8] =
    ["Location", "Link", "ETag", "Accept-Post", "Accept-Patch", "Retry-After", "Content-Range", "WWW-Authenticate"];

/// How long a browser may remember the answer to a preflight, in seconds.
const PREFLIGHT_MAX_AGE_S: usize = 3600;

/// How long requests that are under way may take to end at shutdown, in seconds.
const SHUTDOWN_TIMEOUT_S: u64 = 5;

/// Starts the server on a bound listener, with TLS and HTTP/2 when there is a configuration for it.
///
/// # Errors
/// Those of the operating system.
pub fn serve(
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
    workers: usize,
    state: web::Data<AppState>,
) -> io::Result<Server> {
    let app = move || {
        App::new()
            .app_data(state.clone())
            .wrap(from_fn(observed))
            .wrap(cors(&state.cors))
            .wrap(from_fn(accept_post))
            .configure(signalling::configure)
            .configure(hls::configure)
            .configure(live_mp4::configure)
            .configure(snapshot::configure)
            .configure(rooms::configure)
            .configure(record::configure)
            .configure(sources::configure)
            .configure(tickets::configure)
            .configure(metrics::configure)
            .configure(events::configure)
            // A clip is named like an object.
            .configure(clips::configure)
            .configure(recordings::configure)
            .configure(health::configure)
            .configure(pages::configure)
            .default_service(web::to(pages::nowhere))
    };
    // Signals are the binary's business: it ends the broadcasts first.
    let server = HttpServer::new(app).workers(workers).disable_signals().shutdown_timeout(SHUTDOWN_TIMEOUT_S);
    // Half a connection is a client that has gone: nothing is to wait for it any longer.
    let server = server.h1_allow_half_closed(false);
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
        None => server.listen(listener)?,
    };
    Ok(server.run())
}

/// Begins a resource that can only be read; any other method is told so.
pub(crate) fn readable(path: &str) -> Resource {
    web::resource(path).default_service(web::to(async || Problem::method_not_allowed("GET, HEAD")))
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers(EXPOSED)
        .block_on_origin_mismatch(false)
        .max_age(PREFLIGHT_MAX_AGE_S);
    if origins.iter().any(|origin| origin == "*") {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// Logs the route of a request, not its path: the path of a session is its secret.
async fn observed(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let (method, route) = (request.method().clone(), request.match_pattern());
    let response = next.call(request).await?;
    debug!(%method, route = route.as_deref().unwrap_or("-"), status = response.status().as_u16(), "http");
    Ok(response)
}

/// Says what an endpoint accepts in preflight answers too, which the CORS middleware gives by itself (W15).
async fn accept_post(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let path = request.path();
    let is_endpoint = (path.starts_with("/whip/") || path.starts_with("/whep/")) && path.matches('/').count() == 2;
    let is_options = request.method() == Method::OPTIONS;
    let mut response = next.call(request).await?;
    if is_options && is_endpoint {
        response.headers_mut().insert(ACCEPT_POST, HeaderValue::from_static("application/sdp"));
    }
    Ok(response)
}
