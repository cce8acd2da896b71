//! Requests that wait for what comes next. Their waits end with them: nothing is left when a client goes away.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use onair_actors::live_window::{LiveWindow, LiveWindows, Version};
use onair_media::MediaKind;

use crate::problem::Problem;

/// How many target durations a request waits at most (RFC 8216bis §6.2.5.2).
const PATIENCE: u32 = 3;

/// Waits for a state of a playlist that is as wanted.
///
/// # Errors
/// 503 when it does not come in time, or too many wait.
pub(super) async fn version_when(
    request: &HttpRequest,
    windows: &LiveWindows,
    window: &Arc<LiveWindow>,
    kind: MediaKind,
    wanted: impl Fn(&Version) -> bool,
) -> Result<Arc<Version>, Problem> {
    let client = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let waiter = Arc::clone(window).admit(windows, client);
    let waiter = waiter.ok_or_else(|| Problem::overloaded("too many requests wait for what comes next"))?;
    let patience = window.target_duration() * PATIENCE;
    let version = tokio::time::timeout(patience, waiter.window().version_when(kind, wanted)).await;
    version.ok().flatten().ok_or_else(|| Problem::unavailable().because("the publisher has sent nothing new in time"))
}
