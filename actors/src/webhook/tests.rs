//! What becomes of an event while its receiver fails, on virtual time. The receivers are scripts; tests/events.rs has
//! real ones.

use std::collections::VecDeque;

use onair_media::{RecordingId, RoomName};
use onair_recorder::{EventId, EventKind, RecordingEvent};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::post::Answer;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A receiver that answers as its script says, then takes everything; it notes when it was asked for what.
#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    asked: Vec<(Instant, EventId)>,
    bodies: Vec<Vec<u8>>,
}

type Receiver = Arc<Mutex<Script>>;

fn receiver(answers: impl IntoIterator<Item = Answer>) -> Receiver {
    Arc::new(Mutex::new(Script { answers: answers.into_iter().collect(), ..Script::default() }))
}

fn failed() -> Answer {
    Answer::Failed { reason: "down".into(), retry_after: None }
}

/// Begins to serve a receiver, as after a start of the server.
async fn serve(receiver: &Receiver, directory: &Path, events: &Events) -> (Gauge, JoinHandle<()>) {
    let receiver = Arc::clone(receiver);
    let poster = move |id, _kind: EventKind, body| {
        let mut script = receiver.lock().unwrap();
        script.asked.push((Instant::now(), id));
        script.bodies.push(body);
        std::future::ready(script.answers.pop_front().unwrap_or(Answer::Taken)).boxed()
    };
    let (backlog, left) = Backlog::open(directory.to_owned()).await.unwrap();
    let interest = Interest { rooms: onair_media::RoomGlob::any(), types: None };
    let name = "http://receiver/***".into();
    let delivery = Delivery::new(name, Arc::new(poster), backlog, left, events.clone(), interest).await.unwrap();
    (delivery.gauge().clone(), tokio::spawn(delivery.run()))
}

fn start_recording(events: &Events) {
    let recording = RecordingId::parse("20261122T063000Z-7f3a9c").unwrap();
    events.publish(&RoomName::parse("studio").unwrap(), &recording, RecordingEvent::Started { tracks: vec![] });
}

/// Waits on virtual time until a receiver stands as wanted.
async fn until(gauge: &Gauge, wanted: impl Fn(&WebhookState) -> bool) {
    let end = Instant::now() + 3 * GIVE_UP_AFTER;
    while !wanted(&gauge.state()) {
        assert!(Instant::now() < end, "{:?}", gauge.state());
        sleep(Duration::from_secs(1)).await;
    }
}

fn files(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_nothing_overtakes_it() {
    let (events, dir) = (Events::new(), TempDir::new().unwrap());
    let wanted_alone = Answer::Failed { reason: "busy".into(), retry_after: Some(2 * MINUTE) };
    let receiver = receiver([failed(), failed(), wanted_alone]);
    let (gauge, _task) = serve(&receiver, dir.path(), &events).await;
    start_recording(&events);
    start_recording(&events);
    until(&gauge, |state| state.delivered == 2).await;

    let script = receiver.lock().unwrap();
    let (first, second) = (script.asked[0].1, script.asked[4].1);
    assert!(first < second);
    assert_eq!(script.asked.iter().map(|(_, id)| *id).collect::<Vec<_>>(), [first, first, first, first, second]);
    assert!(script.bodies[..4].iter().all(|body| *body == script.bodies[0]));
    assert!(String::from_utf8_lossy(&script.bodies[0]).contains(&first.to_string()));
    let waits: Vec<_> = script.asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64()).collect();
    // 1 s and 2 s, each from half of it to all of it; then what the receiver asked for; the next one at once.
    assert!((0.5..=1.1).contains(&waits[0]) && (1.0..=2.1).contains(&waits[1]), "{waits:?}");
    assert!((120.0..=120.1).contains(&waits[2]) && waits[3] < 0.1, "{waits:?}");
    let state = gauge.state();
    assert_eq!((state.failed_attempts, state.given_up, state.waiting, state.last_error), (3, 0, 0, None));
    assert_eq!(files(dir.path()), 0, "what is delivered leaves nothing behind");
}

#[tokio::test(start_paused = true)]
async fn an_event_is_given_up_after_a_day_and_at_once_when_the_receiver_is_gone() {
    let (events, dir) = (Events::new(), TempDir::new().unwrap());
    let receiver = receiver(std::iter::repeat_n(failed(), 100_000));
    let (gauge, _task) = serve(&receiver, dir.path(), &events).await;
    let began = Instant::now();
    start_recording(&events);
    until(&gauge, |state| state.given_up == 1).await;
    assert!((GIVE_UP_AFTER..GIVE_UP_AFTER + MINUTE).contains(&began.elapsed()), "{:?}", began.elapsed());
    // At the longest, waits are from 5 to 10 min: 86,400 s / 300 s = 288 attempts are the most, 144 and the ten or so
    // until then the least.
    let attempts = gauge.state().failed_attempts;
    assert!((144..=300).contains(&attempts), "{attempts}");

    receiver.lock().unwrap().answers = [Answer::Gone].into();
    start_recording(&events);
    start_recording(&events);
    until(&gauge, |state| state.delivered == 1).await;
    assert_eq!(gauge.state().given_up, 2);
    assert_eq!(files(dir.path()), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_delivered_goes_out_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let down = receiver(std::iter::repeat_n(failed(), 1_000));
    let events = Events::new();
    let (gauge, task) = serve(&down, dir.path(), &events).await;
    (0..3).for_each(|_| start_recording(&events));
    until(&gauge, |state| state.waiting == 3 && state.failed_attempts > 0).await;
    // Like a SIGKILL: nothing is said, and something was being written.
    task.abort();
    std::fs::write(dir.path().join("x.json.partial"), "{").unwrap();

    let (events, up) = (Events::new(), receiver([]));
    let (gauge, task) = serve(&up, dir.path(), &events).await;
    start_recording(&events);
    until(&gauge, |state| state.delivered == 4).await;
    let asked: Vec<_> = up.lock().unwrap().asked.iter().map(|(_, id)| *id).collect();
    assert!(asked.is_sorted_by(|a, b| a < b), "{asked:?}");
    assert_eq!(asked[0], down.lock().unwrap().asked[0].1, "under the same key");
    assert_eq!(files(dir.path()), 0);
    events.close();
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_leaves_on_the_disk_what_a_receiver_does_not_take() {
    let (events, dir) = (Events::new(), TempDir::new().unwrap());
    let receiver = receiver([Answer::Taken, failed()]);
    let (gauge, task) = serve(&receiver, dir.path(), &events).await;
    (0..3).for_each(|_| start_recording(&events));
    events.close();
    task.await.unwrap();
    assert_eq!((gauge.state().delivered, files(dir.path())), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_no_queue_holds_is_delivered_all_the_same() {
    let (events, dir) = (Events::new(), TempDir::new().unwrap());
    let receiver = receiver([]);
    let (gauge, _task) = serve(&receiver, dir.path(), &events).await;
    // 256 find room in the queue, the other 144 are asked for again.
    (0..400).for_each(|_| start_recording(&events));
    events.settled().await;
    assert!(files(dir.path()) + receiver.lock().unwrap().asked.len() >= 400, "each is on the disk, or was sent");
    until(&gauge, |state| state.delivered == 400).await;
    assert!(receiver.lock().unwrap().asked.is_sorted_by(|a, b| a.1 < b.1), "each once, in order");
    assert_eq!(gauge.state().missed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_answers_delays_nobody_else() {
    let (events, dir) = (Events::new(), TempDir::new().unwrap());
    let (backlog, left) = Backlog::open(dir.path().join("silent")).await.unwrap();
    let silent = Arc::new(|_, _, _| std::future::pending().boxed());
    let interest = Interest::everything();
    let silent = Delivery::new("silent".into(), silent, backlog, left, events.clone(), interest).await.unwrap();
    let silent_gauge = silent.gauge().clone();
    tokio::spawn(silent.run());
    let (gauge, _task) = serve(&receiver([]), &dir.path().join("quick"), &events).await;
    let began = Instant::now();
    (0..100).for_each(|_| start_recording(&events));
    until(&gauge, |state| state.delivered == 100).await;
    until(&silent_gauge, |state| state.waiting == 100).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_waits_for_a_receiver_that_is_configured_no_more_goes_when_it_is_old() {
    let dir = TempDir::new().unwrap();
    let old = dir.path().join("aaaa");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("000000000001-000000-000001.recording.finished.json"), "{}").unwrap();
    let young = dir.path().join("bbbb");
    std::fs::create_dir(&young).unwrap();
    std::fs::write(young.join("f00000000001-000000-000001.recording.finished.json"), "{}").unwrap();
    sweep(&[], dir.path()).await.unwrap();
    assert!(!old.exists() && files(&young) == 1);
}
