//! The web pages, embedded into the binary: one single-page application for all paths.

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use rust_embed::RustEmbed;

use crate::problem::Problem;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Dist;

/// Scripts and styles of our own only; media also from the blobs that hls.js makes.
const POLICY: &str = "default-src 'self'; media-src 'self' blob:; worker-src 'self' blob:; img-src 'self' data: blob:; \
                      frame-ancestors 'self'; base-uri 'none'; form-action 'self'";

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// The paths at which the application may be entered; what it does with them is its own business.
const ENTRIES: [&str; 5] = ["/", "/publish/{room}", "/watch/{room}", "/recordings", "/recordings/{room}/{recording}"];

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    for entry in ENTRIES {
        config.route(entry, web::get().to(application));
    }
    config.route("/assets/{name:.*}", web::get().to(asset));
}

async fn application() -> Result<HttpResponse, Problem> {
    let page = Dist::get("index.html").ok_or_else(|| {
        Problem::not_found()
            .because("this binary was built without its pages: run `make` to build them, or use the API")
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((REFERRER_POLICY, "same-origin"))
        .body(page.data.into_owned()))
}

/// Answers a path that leads nowhere: a person gets the application, which says so and goes on; a script a problem.
pub(crate) async fn nowhere(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let accepts = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if request.method() != Method::GET || !accepts.contains("text/html") {
        return Err(Problem::not_found());
    }
    let mut page = application().await?;
    *page.status_mut() = StatusCode::NOT_FOUND;
    Ok(page)
}

/// Serves a file of the build, which puts a hash of the content into each name.
async fn asset(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let path = format!("assets/{name}");
    let file = Dist::get(&path).ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok()
        .content_type(media_type(&path))
        .insert_header((CACHE_CONTROL, "max-age=31536000, immutable"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(file.data.into_owned()))
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json" | "map") => "application/json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
