use super::*;

/// What ureq would be given, and what was taken out, for a response that arrives in pieces.
fn taken_out(response: &str, piece: usize) -> (String, String) {
    let (mut incoming, mut received) = (Incoming::default(), Vec::new());
    let mut passed_on = response.as_bytes().to_vec();
    for bytes in passed_on.chunks_mut(piece) {
        incoming.take_out(bytes, &mut received);
    }
    (String::from_utf8(passed_on).unwrap(), String::from_utf8(received).unwrap())
}

#[test]
fn data_is_taken_out_and_framing_left_in() {
    let plain = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = "\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
    for (head, sent, passed_on, received) in [
        (plain, "secret", "******", "secret"),
        (plain, "", "", ""),
        ("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "secret", "******", "secret"),
        (old, "6\r\nsecret", "*********", "6\r\nsecret"),
        (
            chunked,
            "2\r\nse\r\n4;a=b\r\ncret\r\n0\r\n\r\n",
            "2\r\n**\r\n4;a=b\r\n****\r\n0\r\n\r\n",
            "secret",
        ),
        (
            chunked,
            "00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
            "00A\r\n**********\r\n0\r\nX: y\r\n\r\n",
            "0123456789",
        ),
        (chunked, "ffffffffffffffffff\r\nsecret", "ffffffffffffffffff\r\n******", "secret"),
    ] {
        for piece in 1..=sent.len() + head.len() {
            let expected = (format!("{head}{passed_on}"), received.to_owned());
            assert_eq!(
                taken_out(&format!("{head}{sent}"), piece),
                expected,
                "in pieces of {piece}"
            );
        }
    }
}

#[test]
fn no_more_is_kept_than_may_be_read() {
    let response = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2 * MAX_BODY_BYTES));
    assert_eq!(taken_out(&response, 4096).1.len(), MAX_BODY_BYTES + 1);
}

#[test]
fn a_request_gets_its_own_bytes() {
    if !CAN_BE_LOGGED {
        return;
    }
    let bytes: Arc<Mutex<Bytes>> = Arc::default();
    let hidden = Hidden(Some(bytes.clone()));
    let (value, form) =
        (hidden.authorization("Basic c2VjcmV0"), hidden.body("client_secret=secret"));
    assert!(!format!("{value}{form}").contains(|sign| sign != '*'));
    let shown = format!("{hidden:?}");
    assert!(shown.contains("Bytes(..)") && !shown.contains("secret"), "{shown}");
    let head = format!("POST / HTTP/1.1\r\nauthorization: {value}\r\nx: *\r\n\r\n");
    let request = format!("{head}{form}").into_bytes();
    for piece in [request.len(), head.len(), head.len() + 7] {
        let (mut outgoing, mut sent) = (Outgoing::default(), request.clone());
        let (first, rest) = sent.split_at_mut(piece);
        outgoing.put_in(first, &lock(&bytes));
        outgoing.put_in(rest, &lock(&bytes));
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            "POST / HTTP/1.1\r\nauthorization: Basic c2VjcmV0\r\nx: *\r\n\r\nclient_secret=secret"
        );
    }
}
