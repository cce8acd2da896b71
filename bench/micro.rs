//! What a packet costs in each part of the media plane, and the whole of it beside what cannot be saved.
//!
//! `cargo bench --bench micro`. All figures are CPU time of the thread that does the work, so that others on the machine
//! disturb them little; docs/performance.md says how to read them.

mod cpu_time;
mod stage;
mod thread_time;
mod wire;

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};

use onair_actors::core::egress::EgressOrder;
use onair_actors::core::srtp::{Profile, Protector, Unprotector};

use self::cpu_time::{Cost, measure};
use self::stage::{HEADER_BYTES, Room, SESSIONS, address, demux, master_key, plain_packet, stun_check};

const PROFILES: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::AeadAes256Gcm];

/// Packets of a sound, of a frame at a few Mbit/s, and of a large one.
const BATCHES: [u64; 3] = [1, 9, 27];

/// How many viewers a group has, and how many packets each sample serves at least.
const VIEWERS: [u16; 3] = [1, 100, 1000];
const PACKETS_PER_SAMPLE: u64 = 4000;

/// Packets that each viewer asks for again in a sample.
const LOST: u64 = 80;

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --all-targets` starts benchmarks too, without this flag, to see whether they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    heading("CPU time", "ns/packet")?;
    row("demux: media, by address, 1,000 sessions", demux_of(|_| vec![0x80; 1200]))?;
    row("demux: STUN check, by user fragment", demux_of(stun_check))?;
    for profile in PROFILES {
        row(&format!("SRTP: protect 1,200 bytes, {profile:?}"), protect(profile))?;
        row(&format!("SRTP: open 1,200 bytes, {profile:?}"), open(profile))?;
    }
    for viewers in VIEWERS {
        for batch in BATCHES {
            row(&format!("group: {viewers} viewers, batches of {batch}"), group(viewers, batch))?;
        }
    }
    row("group: 10 packets again, 100 viewers", resend(100))?;
    heading("Down to the sockets of 100 viewers", "ns/packet")?;
    for batch in BATCHES {
        let measured = wire::measure(batch)?;
        row(&format!("batches of {batch}: the whole egress"), measured.whole)?;
        row(&format!("batches of {batch}: AES-GCM alone"), measured.seal)?;
        row(&format!("batches of {batch}: send calls alone"), measured.send)?;
        row(&format!("batches of {batch}: whole / (AES-GCM + send)"), measured.ratio)?;
    }
    Ok(())
}

fn heading(subject: &str, unit: &str) -> io::Result<()> {
    writeln!(io::stdout(), "\n| {subject} | {unit} | quartiles |\n| --- | ---: | ---: |")
}

fn row(what: &str, cost: Cost) -> io::Result<()> {
    let digits = if cost.median_ns < 10.0 { 2 } else { 0 };
    let [low, high] = cost.quartiles_ns;
    writeln!(io::stdout(), "| {what} | {:.digits$} | {low:.digits$} to {high:.digits$} |", cost.median_ns)
}

/// Routes a datagram of every session, in an order that no cache foresees.
fn demux_of(datagram: impl Fn(u16) -> Vec<u8>) -> Cost {
    let demux = demux();
    // 389 and 1,000 have no common divisor: every session comes once.
    let order = (0..u32::from(SESSIONS)).map(|step| (step * 389 % u32::from(SESSIONS)) as u16);
    let datagrams: Vec<_> = order.map(|session| (session, address(session), datagram(session))).collect();
    let routes = 10;
    measure(
        &mut (),
        routes * datagrams.len() as u64,
        |()| (),
        |(), ()| {
            for (session, source, datagram) in std::iter::repeat_n(&datagrams, routes as usize).flatten() {
                assert_eq!(demux.route(black_box(*source), datagram), Some(session), "every session is known");
            }
        },
    )
}

fn protect(profile: Profile) -> Cost {
    let protector = Protector::new(profile, &master_key(profile, 1));
    let (plain, mut index) = (plain_packet(), 0);
    let mut packet = plain.clone();
    let packets = 2000;
    measure(
        &mut (),
        packets,
        |()| (),
        |(), ()| {
            for _ in 0..packets {
                packet.truncate(plain.len());
                protector.protect_rtp(&mut packet, 0, HEADER_BYTES, index);
                index += 1;
            }
        },
    )
}

fn open(profile: Profile) -> Cost {
    let key = master_key(profile, 1);
    let mut packet = plain_packet();
    Protector::new(profile, &key).protect_rtp(&mut packet, 0, HEADER_BYTES, 1);
    let unprotector = Unprotector::new(profile, &key);
    let mut out = Vec::new();
    let packets = 2000;
    measure(
        &mut (),
        packets,
        |()| (),
        |(), ()| {
            for _ in 0..packets {
                out.clear();
                unprotector.open_rtp(&packet, HEADER_BYTES, 1, &mut out).expect("it was protected with this key");
            }
        },
    )
}

/// The pure path: number, header, copy, encryption, for every viewer. Nothing is sent.
fn group(viewers: u16, batch: u64) -> Cost {
    let mut room = Room::new((0..viewers).map(address));
    let packets = u64::from(viewers) * batch;
    let batches = PACKETS_PER_SAMPLE.div_ceil(packets);
    let (mut reported, mut served) = (0, 0);
    let cost = measure(
        &mut room,
        packets * batches,
        |room| (0..batches).map(|_| room.film(batch)).collect::<Vec<_>>(),
        |room, batches| {
            for filmed in &batches {
                room.serve(filmed, |_, buffer| served += black_box(buffer).len() as u64);
            }
            reported += packets * batches.len() as u64;
        },
    );
    // A few sender reports come on top.
    assert!(served >= reported, "{served} of {reported} packets were written");
    cost
}

fn resend(viewers: u16) -> Cost {
    let mut room = Room::new((0..viewers).map(address));
    measure(
        &mut room,
        u64::from(viewers) * LOST,
        |room| {
            for _ in 0..=LOST {
                let filmed = room.film(9);
                room.serve(&filmed, |_, _| {});
            }
            let orders = (0..viewers).flat_map(|key| room.losses(key, LOST).into_iter().map(move |order| (key, order)));
            orders.collect::<Vec<(u16, EgressOrder)>>()
        },
        |room, orders| {
            for (key, order) in orders {
                assert_eq!(room.obey(key, order), 10, "all ten are there");
            }
        },
    )
}
