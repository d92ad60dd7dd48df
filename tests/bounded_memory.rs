//! Bodies that have no end are not read, and not kept. Alone in its file: it measures the process.

#![cfg(target_os = "linux")]

mod support;

use support::{Server, Step, builder, failure_in_time};
use tu_token::ErrorKind::BadResponse;

/// What `/proc/self/status` says about this process's memory, in KiB.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_endless_body_is_dropped_early() {
    let chunk = vec![b' '; 64 * 1024];
    let in_chunks = [&b"10000\r\n"[..], &chunk, b"\r\n"].concat();
    let gibibyte = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let answers = [
        (gibibyte, chunk.clone()),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", in_chunks),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", chunk.clone()),
        ("HTTP/1.1 500 X\r\nContent-Length: 1073741824\r\n\r\n", chunk.clone()),
    ];
    // What the first request of a process needs anyway is not counted.
    let warm_up = Server::tokens(1200);
    builder(&warm_up.url()).build().unwrap().token().unwrap();
    let before = memory("VmRSS");
    for (head, body) in answers {
        let server = Server::always(vec![Step::Send(head.into()), Step::Repeat(body)]);
        let client = builder(&server.url()).build().unwrap();
        let error = failure_in_time(&client);
        if head.contains("200") {
            assert_eq!(error.kind(), BadResponse, "{error}");
            assert!(error.message().contains("64 KiB"), "{error}");
        }
        assert!(server.requests() >= 1);
        // Most of it is still in the system's socket buffers.
        let sent = server.bytes_sent() / server.requests() as u64;
        assert!(sent < 16 << 20, "{sent} bytes were taken");
    }
    let grown = memory("VmHWM").saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB more than before");
}
