use super::*;

#[test]
fn whatever_an_identity_is_it_stays_one_part_of_a_path() {
    assert_eq!(path(&["blocks", "user:../a b?c"], &[]), "/api/blocks/user%3A%2E%2E%2Fa%20b%3Fc");
    let query = [("by", "ann & bob"), ("policy", ""), ("reason", "ü")];
    assert_eq!(path(&["keys", "1"], &query), "/api/keys/1?by=ann%20%26%20bob&reason=%C3%BC");
}

#[test]
fn an_address_of_a_worker_is_http_and_holds_no_secret() {
    assert_eq!(base("--admin", "http://10.0.0.1:8083/").unwrap(), "http://10.0.0.1:8083");
    assert_eq!(base("--admin", "http://lb/transom/").unwrap(), "http://lb/transom");
    for (text, part) in [
        ("https://10.0.0.1:8083", "https:// is not spoken here"),
        ("10.0.0.1:8083", "http://HOST:PORT is expected"),
        ("lb", "http://HOST:PORT is expected"),
        ("ftp://lb", "http://HOST:PORT is expected"),
        ("http://me:secret@lb", "use --token"),
        ("http://lb/?token=secret", "no query"),
        ("", "no URL"),
    ] {
        let said = format!("{:#}", base("--admin", text).unwrap_err());
        assert!(said.starts_with("--admin: ") && said.contains(part), "{text}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn a_worker_of_this_machine_is_found_by_its_configuration() {
    let mut config = Config::default();
    for (address, url) in [
        (Some("127.0.0.1:8083"), DEFAULT_ADMIN),
        (Some("0.0.0.0:9000"), "http://127.0.0.1:9000"),
        (Some("[::]:9000"), "http://[::1]:9000"),
        (Some("192.0.2.1:9000"), "http://192.0.2.1:9000"),
        (Some("127.0.0.1:0"), DEFAULT_ADMIN),
        (None, DEFAULT_ADMIN),
    ] {
        config.listen.admin = address.map(|address| address.parse().unwrap());
        assert_eq!(own_admin(&config), url);
    }
}
