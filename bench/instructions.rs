//! How many instructions a packet costs: a figure that does not depend on who else wants the machine.
//!
//! `cargo bench --bench instructions [-- --check]`. The program runs itself under callgrind, each piece of work once with
//! some rounds and once with twice as many; the difference is theirs alone. The change against
//! bench/results/instructions.json is printed and the file written anew; with `--check` it is left alone, and a figure
//! that grew by more than a twentieth is an error.

mod stage;

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};
use std::process::Command;

use onair_actors::core::srtp::{Profile, Protector};

use self::stage::{HEADER_BYTES, Room, SESSIONS, address, demux, master_key, plain_packet, stun_check};

/// What was counted when somebody last looked.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/results/instructions.json");

/// Growth that `--check` lets pass: the seeds of hash tables alone make a tenth of it.
const GROWTH_MAX_PERCENT: f64 = 5.0;

/// One piece of work, by name.
struct Piece {
    name: &'static str,
    rounds: u64,
    packets_per_round: u64,
    run: fn(rounds: u64, prepared: u64),
}

const PIECES: [Piece; 7] = [
    Piece { name: "demux, media", rounds: 20, packets_per_round: SESSIONS as u64, run: demux_media },
    Piece { name: "demux, STUN check", rounds: 5, packets_per_round: SESSIONS as u64, run: demux_stun },
    Piece { name: "protect, AES-GCM 128", rounds: 1000, packets_per_round: 1, run: protect_gcm_128 },
    Piece { name: "protect, AES-GCM 256", rounds: 1000, packets_per_round: 1, run: protect_gcm_256 },
    Piece { name: "protect, AES-CM with SHA-1", rounds: 500, packets_per_round: 1, run: protect_cm },
    Piece { name: "group, 100 viewers, batches of 9", rounds: 20, packets_per_round: 900, run: group },
    Piece { name: "resend, tens", rounds: 6, packets_per_round: 80, run: resend },
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [work, name, rounds, prepared] = arguments.as_slice()
        && work == "--work"
    {
        let piece = PIECES.iter().find(|piece| piece.name == name).ok_or("no such work")?;
        (piece.run)(rounds.parse()?, prepared.parse()?);
        return Ok(());
    }
    // `cargo test --all-targets` starts benchmarks too, without this flag, to see whether they run.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let before: BTreeMap<String, u64> =
        std::fs::read(RESULTS).map_or_else(|_| Ok(BTreeMap::new()), |bytes| serde_json::from_slice(&bytes))?;
    let now =
        PIECES.iter().map(|piece| Ok((piece.name.to_owned(), piece.count()?))).collect::<Result<_, io::Error>>()?;
    let grown = compare(&before, &now)?;
    if !arguments.iter().any(|argument| argument == "--check") {
        std::fs::write(RESULTS, format!("{}\n", serde_json::to_string_pretty(&now)?))?;
    } else if !grown.is_empty() {
        return Err(format!("more than {GROWTH_MAX_PERCENT} % more instructions: {}", grown.join("; ")).into());
    }
    Ok(())
}

/// Prints both counts, and returns the names of those that grew too much.
fn compare(before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) -> io::Result<Vec<String>> {
    let mut out = io::stdout();
    writeln!(out, "\n| instructions by packet | before | now | change |\n| --- | ---: | ---: | ---: |")?;
    let mut grown = Vec::new();
    for (name, count) in now {
        let Some(old) = before.get(name) else {
            writeln!(out, "| {name} | | {count} | |")?;
            continue;
        };
        let percent = (*count as f64 / (*old).max(1) as f64 - 1.0) * 100.0;
        writeln!(out, "| {name} | {old} | {count} | {percent:+.1} % |")?;
        if percent > GROWTH_MAX_PERCENT {
            grown.push(name.clone());
        }
    }
    Ok(grown)
}

impl Piece {
    /// Returns the instructions of one packet.
    fn count(&self) -> io::Result<u64> {
        // Both prepare the same, so that preparation drops out.
        let [once, twice] = [self.rounds, 2 * self.rounds].map(|rounds| self.instructions(rounds));
        let packets = self.rounds * self.packets_per_round;
        Ok((twice?.saturating_sub(once?) + packets / 2) / packets)
    }

    /// Runs this program under callgrind.
    fn instructions(&self, rounds: u64) -> io::Result<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["--work", self.name, &rounds.to_string(), &(2 * self.rounds).to_string()])
            .output()
            .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
        let told = String::from_utf8_lossy(&output.stderr);
        let count = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        count.filter(|_| output.status.success()).ok_or_else(|| io::Error::other(format!("valgrind says:\n{told}")))
    }
}

fn demux_media(rounds: u64, _: u64) {
    route(rounds, |_| vec![0x80; 1200]);
}

fn demux_stun(rounds: u64, _: u64) {
    route(rounds, stun_check);
}

fn route(rounds: u64, datagram: impl Fn(u16) -> Vec<u8>) {
    let demux = demux();
    let datagrams: Vec<_> = (0..SESSIONS).map(|session| (session, address(session), datagram(session))).collect();
    for (session, source, datagram) in std::iter::repeat_n(&datagrams, rounds as usize).flatten() {
        assert_eq!(demux.route(black_box(*source), datagram), Some(session), "every session is known");
    }
}

fn protect_gcm_128(rounds: u64, _: u64) {
    protect(Profile::AeadAes128Gcm, rounds);
}

fn protect_gcm_256(rounds: u64, _: u64) {
    protect(Profile::AeadAes256Gcm, rounds);
}

fn protect_cm(rounds: u64, _: u64) {
    protect(Profile::Aes128CmSha1_80, rounds);
}

fn protect(profile: Profile, rounds: u64) {
    let protector = Protector::new(profile, &master_key(profile, 1));
    let mut packet = plain_packet();
    let plain_bytes = packet.len();
    for index in 0..rounds {
        packet.truncate(plain_bytes);
        protector.protect_rtp(&mut packet, 0, HEADER_BYTES, index);
    }
}

fn group(rounds: u64, prepared: u64) {
    let mut room = Room::new((0..100).map(address));
    let batches: Vec<_> = (0..prepared).map(|_| room.film(9)).collect();
    for filmed in &batches[..rounds as usize] {
        room.serve(filmed, |_, buffer| {
            black_box(buffer);
        });
    }
}

fn resend(rounds: u64, _: u64) {
    let mut room = Room::new([address(0)]);
    for _ in 0..100 {
        let filmed = room.film(9);
        room.serve(&filmed, |_, _| {});
    }
    for _ in 0..rounds {
        for order in room.losses(0, 80) {
            // The credit is for a thousand packets and some: media earned nine hundred.
            assert_eq!(room.obey(0, order), 10, "all ten are there");
        }
    }
}
