use super::*;

/// Where a connection is refused, the same however its bytes are cut.
fn refused(text: &str) -> Option<usize> {
    let whole = Framing::default().follow(text.as_bytes()).err();
    let mut framing = Framing::default();
    let one_by_one = text.bytes().position(|byte| framing.follow(&[byte]).is_err());
    assert_eq!(whole, one_by_one, "{text:?}");
    whole
}

#[test]
fn what_can_be_read_in_one_way_only_passes() {
    for fields in [
        "",
        "Content-Length: 0\r\n",
        "content-length:\t3 \r\n\r\nabc",
        "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00a;x=\"y\"\r\n0123\r\n6789\r\n0\r\nx: y\r\n",
        "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
        "Content_Length: 5, 6\r\nX: \r\n",
    ] {
        let mut request = format!("\r\nPOST / HTTP/1.1\r\nHost: a\r\n{fields}");
        if !fields.ends_with("abc") {
            request.push_str("\r\n");
        }
        // Any other request that follows is at its beginning, so this is refused at once.
        assert_eq!(refused(&request), None, "{fields:?}");
        assert_eq!(refused(&format!("{request}\n")), Some(request.len()), "{fields:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 00000000000000000003\r\n",
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding\r\n",
        "Transfer-Encoding: chunked\n",
        "X: y\n",
        "X: y\rZ: w\r\n",
        " X: y\r\n",
        "X: y\r\n z\r\n",
        "X: y\r\n\tContent-Length: 3\r\n",
        "Transfer-Encoding:                                                      chunked\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{fields}\r\n");
        assert!(refused(&request).is_some(), "{fields:?}");
    }
}

#[test]
fn chunks_are_read_to_the_letter() {
    for body in [
        "\r\n",
        "g\r\n",
        "3 \r\n",
        " 3\r\n",
        "0x3\r\n",
        "+3\r\n",
        "-3\r\n",
        "3\n",
        "3\r\r\n",
        "3;x\n",
        "11112222333344445\r\n",
        ";x\r\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n",
        "3\r\nabc0\r\n",
        "0\r\nx: y\n",
        "0\r\n x: y\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        assert!(refused(&request).is_some(), "{body:?}");
    }
}

#[test]
fn http_2_is_not_looked_at() {
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\0"), None);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let mut framing = Framing::default();
    let heard = preface.map(|byte| framing.follow(&[byte]).is_ok() && framing.is_http2());
    assert_eq!(heard.iter().position(|heard| *heard), Some(preface.len() - 1));
    assert!(refused("GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\n").is_some());
}
