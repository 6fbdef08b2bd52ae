//! Counts what client and server say to each other, and falls silent or hangs up on request.

use std::io::{self, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// A socket like the server's, with a counter behind it.
#[derive(Debug)]
pub(crate) struct Proxy {
    folder: tempfile::TempDir,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    round_trips: AtomicU64,
    commits: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    /// Messages of any kind after which the client waits, since the start.
    asked: AtomicU64,
    /// None from this one on is answered; 0: all are.
    silent_from: AtomicU64,
    /// The connection is closed in the place of the answer to this one; 0: none is.
    cut_at: AtomicU64,
    /// The answers to the COMMITs of these numbers are lost with their connections; 0: to none.
    lost_commits: [AtomicU64; 2],
    /// A connection on which a CREATE is answered falls silent with that.
    creates_are_silent: AtomicBool,
}

impl Counters {
    fn is_silent(&self) -> bool {
        let from = self.silent_from.load(Ordering::Relaxed);
        from > 0 && self.asked.load(Ordering::Relaxed) >= from
    }

    fn is_cut(&self) -> bool {
        let at = self.cut_at.load(Ordering::Relaxed);
        at > 0 && self.asked.load(Ordering::Relaxed) == at
    }

    /// Whether the answer to this COMMIT gets through.
    fn commit(&self) -> bool {
        let commit = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        let [first, last] = &self.lost_commits;
        !(first.load(Ordering::Relaxed)..=last.load(Ordering::Relaxed)).contains(&commit)
    }
}

/// What was said since the last look.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Traffic {
    /// Messages after which the client waits for an answer: Query and Sync.
    pub(crate) round_trips: u64,
    /// Transactions committed, those that only read included.
    pub(crate) commits: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

impl Proxy {
    /// Listens in a folder of its own for what is meant for the server's socket.
    pub(crate) fn start(server: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("nfo-").tempdir_in("/tmp")?;
        let name = server.file_name().unwrap_or_default();
        let listener = UnixListener::bind(folder.path().join(name))?;
        let counters = Arc::new(Counters::default());
        let server = server.to_owned();
        let shared = Arc::clone(&counters);
        thread::spawn(move || accept(&listener, &server, &shared));
        Ok(Self { folder, counters })
    }

    /// The folder of its socket.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Passes no answer from the message of this number on, on any connection, and keeps them open.
    pub(crate) fn fall_silent_from(&self, message: u64) {
        self.counters.silent_from.store(message, Ordering::Relaxed);
    }

    /// Closes the connection in the place of the answer to the message of this number.
    pub(crate) fn cut_at(&self, message: u64) {
        self.counters.cut_at.store(message, Ordering::Relaxed);
    }

    /// Closes the connection in the place of the answers to these COMMITs, counted from 1.
    pub(crate) fn lose_commits(&self, commits: &RangeInclusive<u64>) {
        let [first, last] = &self.counters.lost_commits;
        first.store(*commits.start(), Ordering::Relaxed);
        last.store(*commits.end(), Ordering::Relaxed);
    }

    /// Passes no answer to a CREATE, nor what follows on its connection; others are answered.
    pub(crate) fn silence_creates(&self) {
        self.counters
            .creates_are_silent
            .store(true, Ordering::Relaxed);
    }

    /// How many messages a client has waited after, those that open a connection included.
    pub(crate) fn asked(&self) -> u64 {
        self.counters.asked.load(Ordering::Relaxed)
    }

    /// Takes the counts, which start again from nothing.
    pub(crate) fn take(&self) -> Traffic {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Traffic {
            round_trips: take(&self.counters.round_trips),
            commits: take(&self.counters.commits),
            bytes_sent: take(&self.counters.sent),
            bytes_received: take(&self.counters.received),
        }
    }
}

fn accept(listener: &UnixListener, server: &Path, counters: &Arc<Counters>) {
    for client in listener.incoming().map_while(Result::ok) {
        // The client reports a refusal.
        let _ = serve(client, server, counters);
    }
}

fn serve(client: UnixStream, server: &Path, counters: &Arc<Counters>) -> io::Result<()> {
    let server = UnixStream::connect(server)?;
    let (mut from_client, mut to_client) = (client.try_clone()?, client);
    let (mut from_server, mut to_server) = (server.try_clone()?, server);
    let (up, down) = (Arc::clone(counters), Arc::clone(counters));
    thread::spawn(move || {
        // The client's first message, with its name, has no type.
        let mut messages = Messages::default();
        messages.expect_startup();
        let _ = pass(&mut from_client, &mut to_server, |bytes| {
            up.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            messages.read(bytes, |kind, _| {
                if matches!(kind, 0 | b'p' | b'Q' | b'S') {
                    up.asked.fetch_add(1, Ordering::Relaxed);
                }
                if matches!(kind, b'Q' | b'S') {
                    up.round_trips.fetch_add(1, Ordering::Relaxed);
                }
            });
            Ok(true)
        });
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    thread::spawn(move || {
        let mut messages = Messages::default();
        let mut is_silent = false;
        let _ = pass(&mut from_server, &mut to_client, |bytes| {
            down.received
                .fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let mut is_lost = false;
            messages.read(bytes, |kind, head| {
                if kind == b'C' && head == b"COMMIT" {
                    is_lost |= !down.commit();
                }
                is_silent |= kind == b'C'
                    && head == b"CREATE"
                    && down.creates_are_silent.load(Ordering::Relaxed);
            });
            if is_lost || down.is_cut() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Ok(!is_silent && !down.is_silent())
        });
        let _ = to_client.shutdown(std::net::Shutdown::Write);
    });
    Ok(())
}

/// Passes what is read on where `look` says so.
fn pass(
    from: &mut UnixStream,
    to: &mut UnixStream,
    mut look: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if look(&buffer[..length])? {
            to.write_all(&buffer[..length])?;
        }
    }
}

/// Finds the messages in a stream: a type, a length, a body.
#[derive(Debug, Default)]
struct Messages {
    /// Type, length, and the first bytes of the body.
    head: Vec<u8>,
    /// What is left of the body.
    left: usize,
}

const HEADER: usize = 5;
const BODY_SEEN: usize = 6;

impl Messages {
    fn expect_startup(&mut self) {
        // As if the type had been read already.
        self.head.push(0);
    }

    fn read(&mut self, mut bytes: &[u8], mut found: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            if self.head.len() < HEADER {
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                if let [_, a, b, c, d] = self.head[..] {
                    let length = u32::from_be_bytes([a, b, c, d]);
                    // The length counts itself.
                    self.left = (length as usize).saturating_sub(4);
                }
            } else {
                let taken = self.left.min(bytes.len());
                let seen = (HEADER + BODY_SEEN)
                    .saturating_sub(self.head.len())
                    .min(taken);
                self.head.extend_from_slice(&bytes[..seen]);
                bytes = &bytes[taken..];
                self.left -= taken;
            }
            if self.head.len() >= HEADER && self.left == 0 {
                found(self.head[0], &self.head[HEADER..]);
                self.head.clear();
            }
        }
    }
}
