//! One request by HTTP/1.0: the answer is whole when the connection ends.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;

use crate::wait::LIMIT;

/// How long a server may take for one answer.
const PATIENCE: Duration = LIMIT;

/// What a server said.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    /// The status: 200, 404 …
    pub status: u16,
    /// Names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body, which is text everywhere here.
    pub body: String,
}

impl Answer {
    /// The value of a header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        serde_json::from_str(&self.body).map_err(|error| io::Error::other(format!("{error} in: {}", self.body)))
    }
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<Self> {
        if text.starts_with('/') { Ok(Self::Unix(text.into())) } else { text.parse().map(Self::Tcp).map_err(io::Error::other) }
    }
}

/// `GET path` over TCP or a Unix socket, with further header lines.
///
/// # Errors
/// Nobody answers in time, or not by HTTP.
pub fn ask(target: &Target, path: &str, headers: &[&str]) -> io::Result<Answer> {
    match target {
        Target::Tcp(address) => get(*address, path, headers),
        Target::Unix(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            exchange(stream, "localhost", "GET", path, headers, "")
        }
    }
}

/// `GET path`, with further header lines.
///
/// # Errors
/// Nobody answers in time, or not by HTTP.
pub fn get(address: SocketAddr, path: &str, headers: &[&str]) -> io::Result<Answer> {
    send(address, "GET", path, headers, "")
}

/// `POST path` with a body of JSON.
///
/// # Errors
/// As [`get`].
pub fn post(address: SocketAddr, path: &str, body: &str) -> io::Result<Answer> {
    send(address, "POST", path, &["Content-Type: application/json"], body)
}

/// Encodes a value for a query, with the letters that every server takes as they are left alone.
pub fn encode(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
    out
}

/// One hexadecimal digit.
fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase()
}

fn send(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> io::Result<Answer> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    exchange(stream, &address.to_string(), method, path, headers, body)
}

fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head = head + header + "\r\n";
    }
    stream.write_all((head + "\r\n" + body).as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&String::from_utf8(bytes).map_err(io::Error::other)?)
}

fn parse(text: &str) -> io::Result<Answer> {
    let wrong = || io::Error::other(format!("no answer by HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(wrong)?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
    Ok(Answer { status, headers, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse("HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\nsuch").unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (404, Some("text/plain")));
        assert_eq!(answer.body, "no\r\n\r\nsuch");
        assert!(parse("SSH-2.0-x\r\n").is_err());
    }

    #[test]
    fn a_query_is_encoded_byte_by_byte() {
        assert_eq!(encode("a{b=~\".+\"}[5m] é"), "a%7Bb%3D~%22.%2B%22%7D%5B5m%5D%20%C3%A9");
    }
}
