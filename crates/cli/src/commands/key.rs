//! `transom key`

use std::io::Write as _;

use clap::Subcommand;
use http::Method;
use transom_redis::Digest;
use transom_server::operator::{CreatedKey, Done, KeyDoc, List, NewKey};

use crate::Exit;
use crate::api::{Api, path};
use crate::args::{By, Form, Signed};
use crate::commands::{say, say_either};
use crate::show::{both, listing, now_us, plain, table};

/// Creates, lists and revokes API keys.
#[derive(Clone, Debug, clap::Args)]
#[command(arg_required_else_help = false)]
pub(crate) struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Create a key and print it, this once; standard output holds nothing else
    Create {
        /// Whose it is
        #[arg(long, value_name = "ID")]
        user: String,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        label: String,
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        form: Form,
    },
    /// List the keys in Redis by their digests; the keys themselves are kept nowhere
    List {
        /// Only those of this user
        #[arg(long, default_value = "", hide_default_value = true, value_name = "ID")]
        user: String,
        #[command(flatten)]
        form: Form,
    },
    /// Revoke a key; every worker refuses it within a second
    Revoke {
        /// The digest of the key, 64 hexadecimal digits, or the key itself, which is hashed here
        #[arg(value_name = "DIGEST-OR-KEY")]
        key: String,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        form: Form,
    },
}

impl Key {
    pub(crate) async fn run(self, api: &Api) -> anyhow::Result<Exit> {
        match self.action {
            Action::Create { user, label, by, form } => {
                let wish = NewKey { user, label, by: by.by };
                let key = api.send(Method::POST, &path(&["keys"], &[]), &wish).await?;
                created(&key, form)?;
            }
            Action::List { user, form } => {
                let keys: List<KeyDoc> = api.get(&path(&["keys"], &[("user", &user)])).await?;
                say_either(form, &keys, || render(&keys, now_us()))?;
            }
            Action::Revoke { key, signed, form } => {
                let digest = digest(&key).to_string();
                let query = [("by", signed.by.by.as_str()), ("reason", &signed.reason)];
                let done: Done = api.delete(&path(&["keys", &digest], &query)).await?;
                say_either(form, &done, || {
                    format!("{digest} is revoked; every worker refuses it within a second")
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

/// The key stands alone on standard output, for scripts.
fn created(key: &CreatedKey, form: Form) -> anyhow::Result<()> {
    if form.json {
        say(serde_json::to_string_pretty(key)?)?;
    } else {
        say(&key.key)?;
    }
    let note = format!("a key of user {}, shown this once; its digest is {}", key.user, key.digest);
    // The key is out, so it is done.
    let _ = writeln!(std::io::stderr(), "transom: {}", plain(&note));
    Ok(())
}

/// Which key is meant. The key itself goes no further than this.
fn digest(text: &str) -> Digest {
    let text = text.trim();
    Digest::from_hex(text).unwrap_or_else(|| Digest::of(text.as_bytes()))
}

fn render(keys: &List<KeyDoc>, now_us: u64) -> String {
    let rows = keys.items.iter().map(|key| {
        let created = key.created_us.map_or("not known".to_owned(), |at_us| both(at_us, now_us));
        [key.user.clone(), key.label.clone(), created, key.digest.clone()]
    });
    let table = table(["user", "label", "created", "digest"], &[], rows);
    listing(&table, keys.items.len(), keys.more, "there are no such keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_hashed_and_a_digest_is_taken_as_it_is() {
        let of_foo = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
        for text in ["foo", of_foo, &of_foo.to_uppercase(), " foo\n"] {
            assert_eq!(digest(text).to_string(), of_foo);
        }
        assert_ne!(digest(&of_foo[1..]).to_string(), of_foo);
    }

    #[test]
    fn keys_are_listed_by_their_digests() {
        let digest = "2c26".to_owned();
        let key = KeyDoc { digest, user: "42".into(), label: "CI".into(), created_us: None };
        let dated = KeyDoc { created_us: Some(0), label: String::new(), ..key.clone() };
        let keys = List { items: vec![key, dated], more: false };
        let expected = " user  label  created                            digest
 42    CI     not known                          2c26
 42           1970-01-01 00:00:00 UTC (12 s ago) 2c26";
        let shown = render(&keys, 12_000_000);
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&shown), squeezed(expected), "{shown}");
    }
}
