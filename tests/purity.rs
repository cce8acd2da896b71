//! Ring 1 computes and does nothing else: no socket, clock, thread, lock, channel or actor (ARCHITECTURE.md).
//!
//! A scan of the sources: what stands in comments, in literals and behind `#[cfg(test)]` does not count.

use std::fs;
use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, Item};

/// Where ring 1 lives.
const PURE: [&str; 4] = ["media/src", "pictures/src", "recorder/src", "actors/src/core"];

/// What stands at the edge of the ring and may touch the disk and the network.
/// The key tap sits in the middle of str0m, which runs it wherever an `Rtc` is built and polled.
const EDGE: [&str; 5] = [
    "recorder/src/store.rs",
    "recorder/src/store/",
    "recorder/src/spool.rs",
    "recorder/src/spool/",
    "actors/src/core/session/key_tap.rs",
];

/// Paths and names that ring 1 must not say, found wherever their words follow each other.
const FORBIDDEN: [&str; 27] = [
    "Instant::now",
    "SystemTime::now",
    "Utc::now",
    "Local::now",
    ".elapsed()",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "spawn",
    "thread",
    "sleep",
    "mpsc",
    "oneshot",
    "watch::channel",
    "broadcast::channel",
    "Mutex",
    "RwLock",
    "Condvar",
    "OnceLock",
    "LazyLock",
    "actix",
    "actix_rt",
    "actix_web",
    "tokio",
    "object_store",
    "reqwest",
];

#[test]
fn ring_1_has_no_socket_clock_thread_lock_or_channel() {
    let files: Vec<_> = PURE.iter().flat_map(|dir| rust_files(&root().join(dir))).collect();
    assert!(files.len() > 10, "only {} files: has ring 1 moved?", files.len());
    let mut found = Vec::new();
    for path in files {
        let name = path.strip_prefix(root()).expect("it is below").display().to_string();
        if EDGE.iter().any(|edge| name.starts_with(edge)) || is_test_module(&name) {
            continue;
        }
        let source = fs::read_to_string(&path).expect("a source is text");
        found.extend(violations(&source).into_iter().map(|word| format!("{name}: {word}")));
    }
    assert!(found.is_empty(), "ring 1 must stay pure:\n{}", found.join("\n"));
}

#[test]
fn dependencies_point_inward_only() {
    let outer = ["onair-media", "onair-pictures", "onair-recorder", "onair-actors", "onair-web", "onair"];
    for (ring, name) in ["media", "pictures", "recorder", "actors", "web"].iter().enumerate() {
        let dependencies = dependencies(name);
        let outward = dependencies.iter().find(|dependency| outer[ring..].contains(&dependency.as_str()));
        assert_eq!(outward, None, "{name} depends on a crate that is not inside of it");
    }
}

#[test]
fn the_innermost_crates_know_no_runtime() {
    let runtimes = ["actix", "actix-rt", "actix-web", "tokio", "str0m", "object_store", "reqwest", "socket2", "chrono"];
    for name in ["media", "pictures"] {
        assert_eq!(dependencies(name).iter().find(|name| runtimes.contains(&name.as_str())), None);
    }
    let runtimes = ["actix", "actix-rt", "actix-web", "str0m", "socket2"];
    assert_eq!(dependencies("recorder").iter().find(|name| runtimes.contains(&name.as_str())), None);
}

#[test]
fn the_scan_sees_what_it_is_for() {
    assert_eq!(violations("fn f() { let t = std::time::Instant :: now(); }"), ["Instant::now"]);
    assert_eq!(violations("use tokio::sync::mpsc;"), ["mpsc", "tokio"]);
    assert_eq!(
        violations("/* Mutex /* spawn */ */ // tokio\nlet s = \"thread \\\" Mutex\"; let r = r#\"\"tokio\"#;"),
        [""; 0]
    );
    assert_eq!(violations("#[cfg(test)]\nmod tests { fn f() { thread::sleep() } }\nfn g() {}"), [""; 0]);
    assert_eq!(violations("#[cfg(test)]\nuse std::thread;\nfn g() { spawn() }"), ["spawn"]);
    assert_eq!(violations("let c = '\"'; spawn(); let d = '\"'; fn h<'a>() {}"), ["spawn"]);
    assert_eq!(violations("let now: Instant; respawned(); tokio_like();"), [""; 0]);
}

fn violations(source: &str) -> Vec<&'static str> {
    let words = without_tests(words_of(source));
    let says = |forbidden: &&&str| {
        let wanted = words_of(forbidden);
        words.windows(wanted.len()).any(|window| window == wanted)
    };
    let mut found: Vec<_> = FORBIDDEN.iter().filter(says).copied().collect();
    found.sort_unstable();
    found
}

/// Splits Rust into identifiers, `::` and single characters; comments and literals are left out.
fn words_of(source: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match skipped(rest) {
            0 if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                words.push(&rest[..end]);
                end
            }
            0 => {
                let end = if rest.starts_with("::") { 2 } else { first.len_utf8() };
                if !first.is_whitespace() {
                    words.push(&rest[..end]);
                }
                end
            }
            literal => literal,
        };
        rest = &rest[length..];
    }
    words
}

/// Returns the length of the comment or literal that `text` begins with, or 0.
fn skipped(text: &str) -> usize {
    let until = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return until("\n", 0);
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r')).unwrap_or("");
    let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
    if raw[hashes..].starts_with('"') {
        let open = text.len() - raw.len() + hashes + 1;
        return until(&format!("\"{}", "#".repeat(hashes)), open);
    }
    match text.as_bytes() {
        [b'"', ..] => quoted(text, '"'),
        [b'\'', b'\\', ..] => quoted(text, '\''),
        // One character between quotes; anything else is a lifetime.
        [b'\'', ..] => text.char_indices().nth(2).filter(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        _ => 0,
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Leaves out every item behind `#[cfg(test)]`: up to its closing brace, or to the semicolon if that comes first.
fn without_tests(words: Vec<&str>) -> Vec<&str> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if !words[at..].starts_with(&MARK) {
            kept.push(words[at]);
            at += 1;
            continue;
        }
        let mut depth = 0;
        for word in &words[at..] {
            at += 1;
            match *word {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && matches!(*word, "}" | ";") {
                break;
            }
        }
    }
    kept
}

/// Tells whether this is the file of a `mod tests` that is tests only by its parent.
fn is_test_module(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn dependencies(package: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a member has a manifest");
    let manifest: DocumentMut = text.parse().expect("cargo reads it too");
    let table = manifest.get("dependencies").and_then(Item::as_table_like).expect("it depends on something");
    table.iter().map(|(name, _)| name.to_owned()).collect()
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
