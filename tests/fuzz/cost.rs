//! How long finding the address of a client takes, for headers made to take long.
//!
//! ```console
//! $ cargo run --release -p transom-tests --example client_address_cost
//! ```
//!
//! Two cores under load, with `CARGO_PROFILE_DEV_OPT_LEVEL=3` in place of `--release` (so with checks of overflow): 0.2 µs
//! for one hop, 2.7 µs for 1,000, 9 µs for 2 KiB of quotes, and 21 µs for 2 KiB of escapes in one value of `Forwarded`.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use transom_server::identity::ClientAddress;

const ROUNDS: u32 = 20_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse()?, "fd00::/8".parse()?];
    let peer = IpAddr::from([10, 0, 0, 1]);
    let hops = ["10.0.0.2"; 1_000];
    let address = "fd00:1111:2222:3333:4444:5555:6666:7777";
    for (what, name, lines) in [
        ("one hop", "x-forwarded-for", vec!["192.0.2.1".to_owned()]),
        ("1,000 hops in one line", "x-forwarded-for", vec![hops.join(", ")]),
        ("1,000 lines", "x-forwarded-for", hops.map(str::to_owned).to_vec()),
        ("32 hops of IPv6", "x-forwarded-for", vec![[address; 32].join(", ")]),
        ("64 KiB without a comma", "x-forwarded-for", vec!["1".repeat(65_536)]),
        ("Forwarded, 32 hops", "forwarded", vec![[r#"for="10.0.0.2:80""#; 32].join(", ")]),
        ("Forwarded, quotes", "forwarded", vec![format!("for={}", r#"",""#.repeat(20_000))]),
        ("Forwarded, escapes", "forwarded", vec![format!("for=\"{}\"", "\\\"".repeat(1_000))]),
    ] {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_str(&line)?);
        }
        let addresses = ClientAddress::new(trusted.clone(), name);
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(addresses.of(black_box(peer), black_box(&headers)));
        }
        println!("{what:24} {:>8} ns", (started.elapsed() / ROUNDS).as_nanos());
    }
    Ok(())
}
