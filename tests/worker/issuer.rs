//! Whoever makes tokens: RSA keys and signatures by `openssl`.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// When the tokens of these tests end: in the year 2100.
pub(crate) const LATER_S: u64 = 4_102_444_800;

/// An issuer with an RSA key of 2,048 bits.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// Where its keys are: `private.pem`, `public.pem`, and what a test adds.
    pub(crate) folder: TempDir,
}

impl Issuer {
    /// Makes the key.
    pub(crate) fn new() -> Self {
        let issuer = Self { folder: tempfile::tempdir().expect("a folder for keys") };
        issuer.openssl(&["genrsa", "-out", "private.pem", "2048"]);
        issuer.openssl(&["rsa", "-in", "private.pem", "-pubout", "-out", "public.pem"]);
        issuer
    }

    /// A file of this issuer.
    pub(crate) fn path(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_str().expect("a path in plain letters").to_owned()
    }

    /// The public key, which everybody may have.
    pub(crate) fn public_pem(&self) -> Vec<u8> {
        std::fs::read(self.path("public.pem")).expect("the public key")
    }

    /// The public key as a member of a key set.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let said = self.openssl(&["rsa", "-pubin", "-in", "public.pem", "-modulus", "-noout"]);
        let said = String::from_utf8(said).expect("text");
        let digits = said.trim().trim_start_matches("Modulus=");
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
        let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        json!({"kty": "RSA", "use": "sig", "kid": kid, "n": encode(modulus), "e": "AQAB"})
    }

    /// A token that is signed as its header says, RS256 or PS256.
    pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
        let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
        let options = if header["alg"] == "PS256" { &pss[..] } else { &[] };
        self.signed(header, claims, &[&["-sign", "private.pem"], options].concat())
    }

    /// A token that is signed with HS256 and this secret.
    pub(crate) fn token_by_secret(&self, header: &Value, claims: &Value, secret: &[u8]) -> String {
        let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("hexkey:{digits}");
        self.signed(header, claims, &["-mac", "HMAC", "-macopt", &key])
    }

    fn signed(&self, header: &Value, claims: &Value, options: &[&str]) -> String {
        let message = unsigned(header, claims);
        std::fs::write(self.path("message"), &message).expect("a file of this test");
        let command = [&["dgst", "-sha256", "-binary"], options, &["message"]].concat();
        let signature = self.openssl(&command);
        format!("{message}.{}", encode(signature))
    }

    fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new("openssl");
        let output = command.args(arguments).current_dir(self.folder.path()).output();
        let output = output.expect("openssl in PATH");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}

/// Header and claims of a token, without a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

/// Base64 as tokens have it.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
