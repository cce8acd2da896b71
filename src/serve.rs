//! `onair serve`: the one place that knows all rooms of the house and puts them together.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::prelude::*;
use actix_web::web::Data;
use onair_actors::archive::Archive;
use onair_actors::core::session::Identity;
use onair_actors::core::wall_clock::WallClock;
use onair_actors::directory::Directory;
use onair_actors::events::Events;
use onair_actors::limits::{LimitSettings, Limits};
use onair_actors::load::Gauge;
use onair_actors::media_socket::MediaSocket;
use onair_actors::pictures::Pictures;
use onair_actors::recovery::Recovery;
use onair_actors::retention::Retention;
use onair_actors::room_manager::{CountRooms, RoomManager, ShutdownAll};
use onair_actors::shared::{HlsSettings, RecordSettings, Shared, Worker};
use onair_actors::spool_watch::SpoolWatch;
use onair_actors::udp::Udp;
use onair_actors::uploader::Uploader;
use onair_actors::webhook::{SigningKey, WebhookError, WebhookSettings, Webhooks};
use onair_recorder::{FragmenterSettings, Spool, Store, WindowSettings};
use onair_web::auth::Tickets;
use onair_web::ice_servers::{IceServer, Login};
use onair_web::server;
use onair_web::state::{AppState, Clips};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use url::Url;

use crate::config::{self, Config, CorsOrigins, IceLogin, Record};
use crate::retention::policy_of;
use crate::sockets::Sockets;
use crate::tls;

/// The most rooms at a time; a room without a publisher and viewers is let go.
const MAX_ROOMS: usize = 10_000;

/// How long recordings may take to reach the store at shutdown. What is left then stays in the spool.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);

/// Who writes a manifest.
pub(crate) const PROGRAM: &str = concat!("onair ", env!("CARGO_PKG_VERSION"));

/// The directory below the spool in which events wait for webhooks. No room has its name, for it begins with a dot.
const WEBHOOKS_DIRECTORY: &str = ".webhooks";

/// Where the actors run.
struct Arbiters {
    /// Packets: sockets on the media port, sessions, rooms, relays. At least one.
    workers: Vec<Arbiter>,
    /// Frames and objects: packagers, recorders, the uploader.
    packaging: Arbiter,
    /// What nobody waits for: looking through the store, deleting what is old.
    housekeeping: Arbiter,
}

/// Runs the server until a signal ends it. `started` hears where it can be reached.
pub(crate) fn run(config: Config, started: impl FnOnce(Url)) -> Result<(), Box<dyn Error>> {
    System::new().block_on(serve(config, started))
}

async fn serve(config: Config, started: impl FnOnce(Url)) -> Result<(), Box<dyn Error>> {
    let tls = config.http.tls.as_ref().map(tls::load).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let Sockets { http, media, candidates } = Sockets::bind(&config, config.media.workers_of(cores))?;
    let address = http.local_addr()?;
    let store = Arc::new(open_store(&config)?);
    let spool = Arc::new(open_spool(&config)?);
    let events = Events::new();
    let webhooks = start_webhooks(&config, &events).await?;
    let arbiters = Arbiters {
        workers: media.iter().map(|_| Arbiter::new()).collect(),
        packaging: Arbiter::new(),
        housekeeping: Arbiter::new(),
    };

    let pictures = Arc::new(Pictures::new(config.record.posters));
    let (to, from, keyframes) = (Arc::clone(&store), Arc::clone(&spool), Arc::clone(&pictures));
    let archive = start_archive(&arbiters.packaging.handle(), to, from, events.clone(), keyframes);
    let uploader = archive.uploader.clone();
    let (left, recovers_to) = (spool.left()?, Arc::clone(&archive));
    let recovery = Recovery::start_in_arbiter(&arbiters.packaging.handle(), |_| Recovery::new(recovers_to, left));
    let watched = Arc::clone(&archive);
    SpoolWatch::start_in_arbiter(&arbiters.housekeeping.handle(), |_| SpoolWatch::new(watched));
    let directory = Arc::new(Directory::default());
    let gauges: Vec<Arc<Gauge>> = media.iter().map(|_| Arc::default()).collect();
    let hls = hls_settings(&config);
    let live = Arc::clone(&hls.windows);
    let shared = Arc::new(Shared {
        identity: Arc::new(Identity::new(candidates, WallClock::new(Instant::now(), SystemTime::now()))?),
        workers: start_workers(&arbiters.workers, media, &directory, &gauges),
        directory,
        packaging: arbiters.packaging.handle(),
        archive,
        recovery,
        webhooks: webhooks.gauges(),
        hls,
        record: record_settings(config.record.clone()),
        gather_for: config.media.batch,
        limits: Limits::new(limit_settings(&config), gauges),
    });
    let rooms = RoomManager::start_in_arbiter(&arbiters.workers[0].handle(), |_| RoomManager::new(shared));

    keep_house(&arbiters.housekeeping, &config, &store, &spool);

    let state = Data::new(AppState {
        rooms: rooms.clone(),
        live,
        store,
        spool,
        uploader,
        events: events.clone(),
        pictures,
        policy: config.auth.policy(),
        tickets: tickets(&config)?,
        ice_servers: config.media.ice_servers.iter().map(ice_server).collect(),
        clips: Clips::default(),
        cors: cors(&config),
    });
    let server = server::serve(http, tls, cores, state)?;
    let handle = server.handle();
    let serving = actix_rt::spawn(server);
    let url = Url::parse(&format!("{scheme}://{address}/"))?;
    say_ready(&url)?;
    started(url);

    ended().await?;
    info!("shutting down: no new sessions, broadcasts end, recordings are stored");
    end_broadcasts(&rooms).await;
    // Ends the streams of events too: the server waits for its requests.
    events.close();
    webhooks.finish().await;
    handle.stop(true).await;
    serving.await??;
    for arbiter in arbiters.workers.iter().chain([&arbiters.packaging, &arbiters.housekeeping]) {
        arbiter.stop();
    }
    Ok(())
}

/// Looks through the store, so that lists are quick, and deletes from it what is not to be kept for ever.
fn keep_house(arbiter: &Arbiter, config: &Config, store: &Arc<Store>, spool: &Arc<Spool>) {
    if config.retention.is_limited() {
        let (store, spool, policy_of) = (Arc::clone(store), Arc::clone(spool), policy_of(config.retention.clone()));
        Retention::start_in_arbiter(&arbiter.handle(), move |_| Retention::new(store, spool, policy_of));
        return;
    }
    let store = Arc::clone(store);
    // A store that is away says so to whoever asks for a list; these do without the index then.
    arbiter.spawn(async move { drop(store.refresh_index().await) });
}

/// Has each worker read its socket.
fn start_workers(
    arbiters: &[Arbiter],
    sockets: Vec<Arc<MediaSocket>>,
    directory: &Arc<Directory>,
    gauges: &[Arc<Gauge>],
) -> Vec<Worker> {
    let start = |(index, (arbiter, socket)): (usize, (&Arbiter, Arc<MediaSocket>))| {
        let (arbiter, port, directory) = (arbiter.handle(), Arc::clone(&socket), Arc::clone(directory));
        let gauge = Arc::clone(&gauges[index]);
        let udp = Udp::start_in_arbiter(&arbiter, move |_| Udp::new(index, port, directory, gauge));
        Worker { arbiter, socket, udp }
    };
    arbiters.iter().zip(sockets).enumerate().map(start).collect()
}

fn limit_settings(config: &Config) -> LimitSettings {
    LimitSettings {
        max_rooms: MAX_ROOMS,
        max_sessions: config.media.max_sessions as usize,
        max_viewers_per_room: (config.media.max_viewers_per_room > 0)
            .then_some(config.media.max_viewers_per_room as usize),
        max_load_percent: config.media.max_load_percent,
    }
}

/// Starts the way from the spool to the store.
pub(crate) fn start_archive(
    arbiter: &ArbiterHandle,
    store: Arc<Store>,
    spool: Arc<Spool>,
    events: Events,
    pictures: Arc<Pictures>,
) -> Arc<Archive> {
    let (to, from) = (Arc::clone(&store), Arc::clone(&spool));
    let uploader = Uploader::start_in_arbiter(arbiter, |_| Uploader::new(to, from));
    Arc::new(Archive { spool, uploader, store, events, pictures })
}

/// Opens the spool of the configuration.
pub(crate) fn open_spool(config: &Config) -> Result<Spool, Box<dyn Error>> {
    Spool::open(config.storage.spool.clone(), config.storage.spool_settings).map_err(|error| {
        match error.source.kind() {
            io::ErrorKind::WouldBlock => {
                format!("another onair uses the spool {}", config.storage.spool.display()).into()
            }
            _ => error.into(),
        }
    })
}

/// Opens the store of the configuration.
pub(crate) fn open_store(config: &Config) -> Result<Store, Box<dyn Error>> {
    let options = config.storage.options.iter();
    let options = options.map(|(key, value)| (key.clone(), value.expose().to_owned())).collect();
    Ok(Store::open(&config.storage.url, &options)?)
}

fn hls_settings(config: &Config) -> HlsSettings {
    let cut = FragmenterSettings { segment_target: config.hls.segment, part_target: config.hls.part };
    let (target_duration_s, part_target) = (cut.target_duration_s(), cut.part_target);
    let window = WindowSettings { window: config.hls.window, target_duration_s, part_target };
    HlsSettings { cut, window, windows: Arc::default() }
}

fn tickets(config: &Config) -> Result<Tickets, Box<dyn Error>> {
    let ttl = config.auth.ticket_ttl;
    match &config.auth.ticket_secret {
        Some(secret) => Ok(Tickets::new(secret.expose().as_bytes(), ttl)),
        None => Ok(Tickets::with_random_secret(ttl)?),
    }
}

fn record_settings(record: Record) -> RecordSettings {
    RecordSettings {
        reconnect: record.reconnect,
        server: PROGRAM.into(),
        rule: Box::new(move |room| record.rule(room)),
    }
}

/// Begins to tell the receivers of the configuration what happens.
pub(crate) async fn start_webhooks(config: &Config, events: &Events) -> Result<Webhooks, WebhookError> {
    let settings = config.webhooks.iter().map(webhook_settings).collect();
    Webhooks::start(settings, config.storage.spool.join(WEBHOOKS_DIRECTORY), events).await
}

fn webhook_settings(webhook: &config::Webhook) -> WebhookSettings {
    WebhookSettings {
        url: webhook.url.clone(),
        key: SigningKey::new(webhook.secret.expose()),
        interest: webhook.interest.clone(),
    }
}

fn ice_server(server: &config::IceServer) -> IceServer {
    let login = match &server.login {
        IceLogin::None => Login::None,
        IceLogin::Fixed { username, credential } => {
            Login::Fixed { username: username.clone(), credential: credential.expose().into() }
        }
        IceLogin::Shared { secret, ttl } => Login::Shared { secret: secret.expose().into(), ttl: *ttl },
    };
    IceServer { urls: server.urls.clone(), login }
}

fn cors(config: &Config) -> Vec<String> {
    match &config.http.cors {
        CorsOrigins::Any => vec!["*".into()],
        CorsOrigins::Only(origins) => origins.clone(),
    }
}

/// Tells people, and scripts that wait for it, where to go. A closed standard output is no reason to stop serving.
fn say_ready(url: &Url) -> io::Result<()> {
    let mut out = io::stdout();
    match writeln!(out, "onair is ready: {url}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Waits for SIGTERM, SIGINT or Ctrl-C.
async fn ended() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// Ends every broadcast and waits until its recording is stored, or until the deadline.
async fn end_broadcasts(rooms: &Addr<RoomManager>) {
    rooms.do_send(ShutdownAll);
    let deadline = Instant::now() + SHUTDOWN_DEADLINE;
    while Instant::now() < deadline {
        if matches!(rooms.send(CountRooms).await, Ok(0) | Err(_)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    warn!(deadline_s = SHUTDOWN_DEADLINE.as_secs(), "some recordings are not stored yet, they stay in the spool");
}
