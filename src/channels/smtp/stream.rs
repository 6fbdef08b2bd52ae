//! Connections to a mail server, clear or encrypted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection to the first of the host's addresses that takes one.
pub(super) async fn connect(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let mut last = None;
    for address in lookup_host((host, port)).await? {
        last = Some(match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The line that ends a mail is a write of its own. The kernel would hold it back until
                // the server has acknowledged what came before, which servers put off.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => error,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, "no connection in time"),
        });
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// A connection that is encrypted.
#[derive(Debug)]
pub(super) struct Encrypted {
    /// Read before anything from the other side.
    prefix: &'static [u8],
    stream: TlsStream<TcpStream>,
}

impl Encrypted {
    pub(super) async fn over(
        stream: TcpStream,
        host: &str,
        connector: &TlsConnector,
        prefix: &'static [u8],
    ) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = connector.connect(name, stream).await?;
        Ok(Self { prefix, stream })
    }
}

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let size = self.prefix.len().min(buffer.remaining());
        let (now, later) = self.prefix.split_at(size);
        buffer.put_slice(now);
        self.prefix = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_held_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let address = listener.as_ref().expect("a port").local_addr();
        let port = address.expect("an address").port();
        let stream = connect("127.0.0.1", port, Duration::from_secs(5)).await;
        assert!(stream.expect("a connection").nodelay().expect("an option"));
    }
}
