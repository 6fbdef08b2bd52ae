//! A strict HTTP receiver: it takes nothing that RFC 9112 would not have it take, remembers what
//! it took, and answers, or misbehaves, as the test says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// When all of it was there.
    pub(crate) at: Instant,
}

/// What becomes of a connection once its request is there.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// The same, as soon as a permit can be had.
    Held(Arc<Semaphore>, Box<Reply>),
    /// A status, and then a byte at a time, without an end.
    Drip(u16),
    /// A byte of a header at a time, without an end.
    DripBefore,
    /// A status, and then as much as is taken, without an end.
    Endless(u16),
    /// Closed at once.
    Cut,
    /// A status, a part of the body, closed.
    CutWithin,
    /// Nothing at all.
    Silence,
}

/// An answer without particulars.
pub(crate) fn status(status: u16) -> Reply {
    answer(status, &[], "")
}

pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    Reply::Answer {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect(),
        body: body.as_bytes().to_vec(),
    }
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<Result<Request, String>>>,
    /// Requests that are not answered yet, and the most that ever were, by path.
    open: Mutex<BTreeMap<String, (usize, usize)>>,
    connections: AtomicUsize,
    /// Bytes of endless answers that went out.
    written: AtomicUsize,
}

/// A receiver, until it is dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// One on a free port of 127.0.0.1.
    pub(crate) async fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(Ipv4Addr::LOCALHOST.into(), 0, None, script).await
    }

    pub(crate) async fn at(
        ip: IpAddr,
        port: u16,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, port)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Seen>::default();
        let script: Arc<Script> = Arc::new(script);
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    seen.connections.fetch_add(1, Ordering::SeqCst);
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    match tls.clone() {
                        None => drop(tokio::spawn(serve(stream, seen, script))),
                        Some(tls) => drop(tokio::spawn(async move {
                            if let Ok(stream) = tls.accept(stream).await {
                                Box::pin(serve(stream, seen, script)).await;
                            }
                        })),
                    }
                }
            }
        });
        Self {
            address,
            seen,
            task,
        }
    }

    /// Its address, with a slash at the end.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What it took; a request that was wrong in form fails the test.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.seen.requests.lock().expect("requests");
        requests
            .iter()
            .map(|one| one.clone().expect("a request in good form"))
            .collect()
    }

    /// How many requests it took until now, in good form or not.
    pub(crate) fn count(&self) -> usize {
        self.seen.requests.lock().expect("requests").len()
    }

    /// The most requests of a path that ever waited for their answers at once.
    pub(crate) fn most_at_once(&self, path: &str) -> usize {
        let open = self.seen.open.lock().expect("paths");
        open.get(path).map_or(0, |(_, most)| *most)
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn written(&self) -> usize {
        self.seen.written.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn came(&self, path: &str) {
        let mut open = self.open.lock().expect("paths");
        let (now, most) = open.entry(path.to_owned()).or_default();
        *now += 1;
        *most = (*most).max(*now);
    }

    fn is_answered(&self, path: &str) {
        let mut open = self.open.lock().expect("paths");
        open.entry(path.to_owned()).or_default().0 -= 1;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    seen: Arc<Seen>,
    script: Arc<Script>,
) {
    let request = match read(&mut stream).await {
        Ok(Some(request)) => request,
        // A connection without a request is a client that changed its mind.
        Ok(None) => return,
        Err(problem) => {
            seen.requests.lock().expect("requests").push(Err(problem));
            return;
        }
    };
    let mut reply = script(&request);
    let path = request.path.clone();
    seen.came(&path);
    seen.requests.lock().expect("requests").push(Ok(request));
    while let Reply::Held(permits, then) = reply {
        permits.acquire().await.expect("a permit").forget();
        reply = *then;
    }
    seen.is_answered(&path);
    // The other side may close when it has had enough.
    let _ = Box::pin(write(&mut stream, reply, &seen)).await;
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    reply: Reply,
    seen: &Seen,
) -> std::io::Result<()> {
    let open = |status: u16| format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n\r\n");
    match reply {
        Reply::Answer {
            status,
            headers,
            body,
        } => {
            let mut head = format!(
                "HTTP/1.1 {status} Scripted\r\nconnection: close\r\ncontent-length: {}\r\n",
                body.len()
            );
            for (name, value) in headers {
                let _ = write!(head, "{name}: {value}\r\n");
            }
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            stream.write_all(&body).await?;
            stream.shutdown().await
        }
        Reply::Held(..) => unreachable!("it was waited for"),
        Reply::Drip(status) => drip(stream, open(status).as_bytes()).await,
        Reply::DripBefore => drip(stream, b"HTTP/1.1 200 OK\r\ndrip: ").await,
        Reply::Endless(status) => {
            stream.write_all(open(status).as_bytes()).await?;
            let part = [b'x'; 16 * 1_024];
            loop {
                stream.write_all(&part).await?;
                seen.written.fetch_add(part.len(), Ordering::SeqCst);
            }
        }
        Reply::Cut => Ok(()),
        Reply::CutWithin => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .await?;
            stream.shutdown().await
        }
        Reply::Silence => {
            // Until the other side closes.
            let mut byte = [0];
            stream.read_exact(&mut byte).await.map(drop)
        }
    }
}

async fn drip<S: AsyncWrite + Unpin>(stream: &mut S, head: &[u8]) -> std::io::Result<()> {
    stream.write_all(head).await?;
    loop {
        stream.write_all(b".").await?;
        stream.flush().await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads one request, which has to be all there is.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<Request>, String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) if head.is_empty() => return Ok(None),
            Err(error) => return Err(format!("within the head: {error}")),
        }
        if head.len() > 32 * 1_024 {
            return Err("too long a head".to_owned());
        }
    }
    let head = String::from_utf8(head).map_err(|_| "a head beyond UTF-8")?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(path), Some("HTTP/1.1"), None) =
        (first.next(), first.next(), first.next(), first.next())
    else {
        return Err(format!("not a request: {head}"));
    };
    let mut headers = BTreeMap::new();
    for line in lines {
        let (name, value) = line
            .split_once(": ")
            .ok_or_else(|| format!("not a header: {line}"))?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty()
            || !name.bytes().all(token)
            || value.bytes().any(|b| b.is_ascii_control())
        {
            return Err(format!("not a header: {line}"));
        }
        if headers
            .insert(name.to_ascii_lowercase(), value.to_owned())
            .is_some()
        {
            return Err(format!("twice: {name}"));
        }
    }
    if !headers.contains_key("host") || headers.contains_key("transfer-encoding") {
        return Err(format!("no host, or of no fixed length: {head}"));
    }
    let length = headers
        .get("content-length")
        .map_or(Ok(0), |length| length.parse());
    let mut body = vec![0; length.map_err(|_| "not a length")?];
    stream
        .read_exact(&mut body)
        .await
        .map_err(|error| format!("within the body: {error}"))?;
    let at = Instant::now();
    let mut more = [0];
    let surplus =
        tokio::time::timeout(Duration::from_millis(5), stream.read_exact(&mut more)).await;
    if let Ok(Ok(_)) = surplus {
        return Err("more than the body".to_owned());
    }
    Ok(Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers,
        body,
        at,
    }))
}
