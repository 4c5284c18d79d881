//! API keys: created here, shown once, and known by their digest from then on.

use serde::{Deserialize, Serialize};
use transom_core::Identity;
use transom_redis::{Digest, KeyDirectory};
use utoipa::ToSchema;

use super::changes::{note, record};
use super::documents::{CreatedKey, KeyDoc, List};
use super::{Because, LIST_MAX, Operator, OperatorError};

/// What every key begins with, so that one found in a text is known for what it is.
const PREFIX: &str = "tk_";
/// Random bytes in a key.
const BYTES: usize = 24;

const NO_STORE: OperatorError = OperatorError::NoStore(
    "API keys are kept in Redis, and redis.url is not set; the configuration takes [[api_key]]",
);

/// A key to create.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewKey {
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub label: String,
    /// Who asks for it.
    pub by: String,
}

impl Operator {
    fn directory(&self) -> Result<&KeyDirectory, OperatorError> {
        self.directory.as_ref().ok_or(NO_STORE)
    }

    /// Creates a key. Nobody can show it again.
    ///
    /// # Errors
    ///
    /// A user that is none, or a store that does not answer.
    pub async fn create_key(&self, wish: &NewKey) -> Result<CreatedKey, OperatorError> {
        let directory = self.directory()?;
        Identity::user(&wish.user).map_err(|error| OperatorError::bad("user", error))?;
        let note = note(&wish.by, &wish.label)?;
        let mut random = [0; BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| OperatorError::bad("key", format!("no random bytes: {error}")))?;
        let digits = random.iter().map(|byte| format!("{byte:02x}"));
        let key = digits.fold(PREFIX.to_owned(), |key, digits| key + &digits);
        let digest = Digest::of(key.as_bytes());
        let detail = format!("digest={digest}");
        let front = self.front();
        let target = format!("user:{}", wish.user);
        record(front.gate.limiter(), "key.create", &target, detail, &note).await?;
        directory.add(digest, &wish.user, &note.reason).await?;
        Ok(CreatedKey { key, digest: digest.to_string(), user: wish.user.clone() })
    }

    /// Every key, or those of one user; of more than a listing has, the first.
    ///
    /// # Errors
    ///
    /// A store that does not answer.
    pub async fn keys(&self, user: Option<&str>) -> Result<List<KeyDoc>, OperatorError> {
        let mut records = self.directory()?.list(user, LIST_MAX + 1).await?;
        let more = records.len() > LIST_MAX;
        records.truncate(LIST_MAX);
        let items = records.into_iter().map(|record| KeyDoc {
            digest: record.digest.to_string(),
            user: record.user,
            label: record.label,
            created_us: record.created_us,
        });
        Ok(List { items: items.collect(), more })
    }

    /// Revokes a key by its digest. Every worker refuses it within a second.
    ///
    /// # Errors
    ///
    /// There is no such key, or the store does not answer.
    pub async fn revoke_key(&self, digest: &str, why: &Because) -> Result<(), OperatorError> {
        let directory = self.directory()?;
        let note = note(&why.by, &why.reason)?;
        let digest = Digest::from_hex(digest)
            .ok_or_else(|| OperatorError::bad("digest", "64 hexadecimal digits are expected"))?;
        let front = self.front();
        let store = front.gate.limiter();
        record(store, "key.revoke", &digest.to_string(), String::new(), &note).await?;
        if !directory.revoke(digest).await? {
            return Err(OperatorError::NotFound(format!("there is no key with digest {digest}")));
        }
        Ok(())
    }
}
