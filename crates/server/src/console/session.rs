//! Sessions that no worker keeps: a cookie that says when it ends and whose it is, sealed with a
//! key that every worker has. And the tokens of forms, which belong to one session.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::hmac::{HMAC_SHA256, Key, sign, verify};

/// The name of the cookie.
pub(super) const COOKIE: &str = "transom_session";
/// How long a session lasts, in seconds.
pub(super) const LASTS_S: u64 = 12 * 60 * 60;
/// The longest name that somebody may go by, in characters.
pub(super) const NAME_MAX: usize = 64;

/// Random bytes in a session.
const NONCE_BYTES: usize = 32;
/// What is sealed begins with its purpose, so that one thing never passes for another.
const SESSION: &str = "transom session ";
const FORM: &str = "transom form ";

/// Makes and checks seals.
#[derive(Clone, Debug)]
pub(super) struct Seal(Key);

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// What tells this session from others.
    pub(super) id: String,
    /// The name that was given at the log-in; may be empty.
    pub(super) name: String,
}

impl Seal {
    /// With a secret that all workers share.
    pub(super) fn of(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    /// With a key that nobody else has; `None` where the system has no random bytes.
    pub(super) fn random() -> Option<Self> {
        Some(Self::of(&random()?))
    }

    /// The cookie of a new session; `None` where the system has no random bytes.
    pub(super) fn open(&self, name: &str, now_s: u64) -> Option<String> {
        let (ends_s, id) = (now_s.saturating_add(LASTS_S), hex(&random()?));
        let said = format!("{ends_s}.{id}.{}", hex(name.as_bytes()));
        let mac = self.seal(SESSION, &said);
        Some(format!("{said}.{mac}"))
    }

    /// Who this cookie belongs to, if it is genuine and has not ended.
    pub(super) fn read(&self, cookie: &str, now_s: u64) -> Option<Session> {
        let (said, mac) = cookie.rsplit_once('.')?;
        if !self.is_sealed(SESSION, said, mac) {
            return None;
        }
        let mut parts = said.split('.');
        let ends_s: u64 = parts.next()?.parse().ok()?;
        let (id, name) = (parts.next()?.to_owned(), from_hex(parts.next()?)?);
        (now_s < ends_s).then_some(Session { id, name: String::from_utf8(name).ok()? })
    }

    /// What every form of a session carries.
    pub(super) fn form_token(&self, session_id: &str) -> String {
        self.seal(FORM, session_id)
    }

    /// Whether a form was made for this session. Takes a time that depends on neither.
    pub(super) fn is_form_token(&self, session_id: &str, token: &str) -> bool {
        self.is_sealed(FORM, session_id, token)
    }

    fn seal(&self, purpose: &str, said: &str) -> String {
        hex(sign(&self.0, format!("{purpose}{said}").as_bytes()).as_ref())
    }

    fn is_sealed(&self, purpose: &str, said: &str, mac: &str) -> bool {
        let mac = from_hex(mac);
        mac.is_some_and(|mac| verify(&self.0, format!("{purpose}{said}").as_bytes(), &mac).is_ok())
    }
}

/// The time by which sessions end, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a session ends by it, no limit moves by it")]
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn random() -> Option<[u8; NONCE_BYTES]> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits?.chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn opened(seal: &Seal) -> String {
        seal.open("Ada", NOW_S).unwrap()
    }

    #[test]
    fn a_session_is_known_on_every_worker_with_the_same_token_until_it_ends() {
        let cookie = opened(&Seal::of(b"token"));
        let other_worker = Seal::of(b"token");
        for now_s in [NOW_S, NOW_S + LASTS_S - 1] {
            assert_eq!(other_worker.read(&cookie, now_s).unwrap().name, "Ada");
        }
        assert_eq!(other_worker.read(&cookie, NOW_S + LASTS_S), None);
    }

    #[test]
    fn another_token_ends_every_session() {
        let cookie = opened(&Seal::of(b"token"));
        assert_eq!(Seal::of(b"changed").read(&cookie, NOW_S), None);
    }

    #[test]
    fn a_cookie_that_was_changed_in_any_place_is_refused() {
        let seal = Seal::of(b"token");
        let cookie = opened(&seal);
        for place in 0..cookie.len() {
            let mut bytes = cookie.clone().into_bytes();
            bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(seal.read(&changed, NOW_S), None, "{changed}");
        }
        for none in ["", ".", "...", "1.2.3", "ä.ö.ü.ß", &cookie[1..], &cookie[..cookie.len() - 1]]
        {
            assert_eq!(seal.read(none, NOW_S), None, "{none}");
        }
    }

    #[test]
    fn no_two_sessions_are_alike() {
        let seal = Seal::of(b"token");
        assert_ne!(opened(&seal), opened(&seal));
    }

    #[test]
    fn the_token_of_a_form_belongs_to_one_session_and_one_key() {
        let seal = Seal::of(b"token");
        let token = seal.form_token("one");
        assert!(seal.is_form_token("one", &token));
        assert!(!seal.is_form_token("two", &token));
        assert!(!Seal::of(b"other").is_form_token("one", &token));
        for wrong in ["", "00", "zz", &token[1..]] {
            assert!(!seal.is_form_token("one", wrong), "{wrong}");
        }
    }

    #[test]
    fn a_seal_for_a_form_is_none_for_a_session() {
        let seal = Seal::of(b"token");
        let said = format!("{}.id.", NOW_S + 9);
        let cookie = format!("{said}.{}", seal.form_token(&said));
        assert_eq!(seal.read(&cookie, NOW_S), None);
    }

    #[test]
    fn a_session_shows_no_key() {
        assert!(!format!("{:?}", Seal::of(b"hunter2")).contains("hunter2"));
    }
}
