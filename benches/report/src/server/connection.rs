//! One connection: requests one after the other, until the client closes it.

use std::io::{self, Read, Write};
use std::thread;

use crate::answer::answer;

pub(crate) fn serve(mut stream: impl Read + Write, scheme: &str) -> io::Result<()> {
    let mut read = Vec::new();
    loop {
        let Some(request) = next_request(&mut stream, &mut read)? else { return Ok(()) };
        let base = format!("{scheme}://{}", request.header("host").unwrap_or("localhost"));
        let answer = answer(&base, &request.path, &request.body);
        thread::sleep(answer.delay);
        let closes =
            request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let connection = if closes { "close" } else { "keep-alive" };
        // In one piece: two would be two packets.
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{}",
            answer.body.len(),
            answer.body
        );
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        if closes {
            return Ok(());
        }
    }
}

struct Request {
    path: String,
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// `None` if the client has closed the connection. What was read beyond the request stays in `read`.
fn next_request(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let mut piece = [0; 4096];
    loop {
        if let Some((request, length)) = complete(read) {
            read.drain(..length);
            return Ok(Some(request));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            more => read.extend_from_slice(&piece[..more]),
        }
    }
}

/// The request at the beginning of what was read, if all of it has arrived, and its length.
fn complete(read: &[u8]) -> Option<(Request, usize)> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).into_owned();
    let path = head.split(' ').nth(1)?.to_owned();
    let mut request = Request { path, head, body: String::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let body = read.get(end..end + length)?;
    request.body = String::from_utf8_lossy(body).into_owned();
    Some((request, end + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_the_body_that_its_head_announces() {
        let text = b"POST /token HTTP/1.1\r\nHost: a:1\r\ncontent-length: 7\r\n\r\nscope=aGET";
        assert!(complete(&text[..text.len() - 4]).is_none());
        let (request, length) = complete(text).unwrap();
        assert_eq!((&*request.path, &*request.body), ("/token", "scope=a"));
        assert_eq!((request.header("host"), length), (Some("a:1"), text.len() - 3));
    }
}
