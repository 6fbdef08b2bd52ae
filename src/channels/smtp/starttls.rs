//! The clear-text dialogue up to STARTTLS, so that none of it counts afterwards.
//!
//! An attacker in between can append to the server's last answer. Read ahead and kept, that would pass
//! for encrypted answers to the next commands.

use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::refusal::{Refusal, Step};

/// Longest answer, in bytes.
const ANSWER_MAX: u64 = 64 * 1_024;

/// Brings a new connection to the point where the next byte is one of TLS.
pub(super) async fn begin(stream: TcpStream, hello: &ClientId) -> Result<TcpStream, Refusal> {
    let mut stream = BufReader::new(stream);
    answer(&mut stream, Step::Connect).await?;
    say(&mut stream, Ehlo::new(hello.clone()), Step::Connect).await?;
    let offered = answer(&mut stream, Step::Connect).await?;
    let offered = ServerInfo::from_response(&offered).map_err(Refusal::at(Step::Connect))?;
    if !offered.supports_feature(Extension::StartTls) {
        return Err(Refusal::lacking(
            Step::Encrypt,
            "the server does not offer it (tls=none does without)",
        ));
    }
    say(&mut stream, Starttls, Step::Encrypt).await?;
    answer(&mut stream, Step::Encrypt).await?;
    if !stream.buffer().is_empty() {
        return Err(Refusal::lacking(
            Step::Encrypt,
            "more than the answer came before the encryption; somebody may have put it there",
        ));
    }
    Ok(stream.into_inner())
}

async fn say(
    stream: &mut BufReader<TcpStream>,
    command: impl ToString,
    step: Step,
) -> Result<(), Refusal> {
    let said = stream.write_all(command.to_string().as_bytes()).await;
    said.map_err(Refusal::lost(step))
}

/// Reads an answer, which has to be a good one.
async fn answer(stream: &mut BufReader<TcpStream>, step: Step) -> Result<Response, Refusal> {
    let mut text = String::new();
    let mut limited = stream.take(ANSWER_MAX);
    loop {
        let line = text.len();
        let read = limited.read_line(&mut text).await;
        if read.map_err(Refusal::lost(step))? == 0 {
            let closed = std::io::ErrorKind::UnexpectedEof.into();
            return Err(Refusal::lost(step)(closed));
        }
        // The last line has no hyphen behind its status.
        if text.as_bytes().get(line + 3) != Some(&b'-') {
            break;
        }
    }
    let response: Response = text.parse().map_err(Refusal::at(step))?;
    if response.is_positive() {
        return Ok(response);
    }
    Err(Refusal::answered(step, &response))
}
