//! `/healthz` and `/readyz`: alive, and able to take sessions.

use actix_web::{HttpResponse, web};
use onair_actors::room_manager::CountRooms;

use crate::problem::Problem;
use crate::server::readable;
use crate::state::{AppState, ask};

pub(crate) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(readable("/healthz").route(web::get().to(alive)))
        .service(readable("/readyz").route(web::get().to(ready)));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

/// Ready means that the actors answer.
async fn ready(state: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    ask(&state.rooms, CountRooms).await?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}
