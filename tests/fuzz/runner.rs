//! Runs one target: its corpus, then mutants of it and random bytes, for a time.
//!
//! A target is a function that panics on an input that shows a fault. Its corpus is the folder
//! `corpus/NAME`, one input a file; its words are `dictionaries/NAME`, in the form of libFuzzer.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use transom_tests::redis_server::repository;

use crate::mutator::Mutator;

/// How long mutants are tried, unless `TRANSOM_FUZZ_SECONDS` says otherwise.
const SECONDS: u64 = 3;

/// How many are tried at least, however slow the machine is.
const MUTANTS_MIN: u64 = 200;

/// Runs the one input that `TRANSOM_FUZZ_INPUT` names, or else the corpus and its mutants.
pub(crate) fn run(name: &str, target: fn(&[u8])) {
    if let Some(path) = std::env::var_os("TRANSOM_FUZZ_INPUT") {
        return target(&fs::read(path).unwrap());
    }
    let folder = repository().join("tests/fuzz");
    let corpus = corpus(&folder.join("corpus").join(name));
    let words = words(&folder.join("dictionaries").join(name));
    for (path, input) in &corpus {
        if let Err(reason) = attempt(target, input) {
            panic!("{}", report(name, path, input, &reason));
        }
    }
    let mut mutator = Mutator::new(corpus.into_iter().map(|(_, input)| input).collect(), words);
    let (until, mut tried) = (Instant::now() + time(), 0);
    while tried < MUTANTS_MIN || Instant::now() < until {
        let input = mutator.next();
        if let Err(reason) = attempt(target, &input) {
            let path = keep(name, &input);
            panic!("{}", report(name, &path, &input, &reason));
        }
        tried += 1;
    }
}

fn time() -> Duration {
    let seconds = std::env::var_os("TRANSOM_FUZZ_SECONDS");
    let seconds = seconds.map(|text| text.to_str().unwrap().parse().unwrap());
    Duration::from_secs(seconds.unwrap_or(SECONDS))
}

fn corpus(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} holds no input", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// The words between the quotes of each line, with `\xNN`, `\\` and `\"` undone.
fn words(path: &Path) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line.strip_prefix('"').unwrap().strip_suffix('"').unwrap())).collect()
}

fn word(quoted: &str) -> Vec<u8> {
    let (mut word, mut rest) = (Vec::new(), quoted);
    while let Some(first) = rest.bytes().next() {
        let (byte, length) = match rest.as_bytes() {
            [b'\\', b'x', ..] => (u8::from_str_radix(&rest[2..4], 16).unwrap(), 4),
            [b'\\', escaped, ..] => (*escaped, 2),
            _ => (first, 1),
        };
        word.push(byte);
        rest = &rest[length..];
    }
    word
}

fn attempt(target: fn(&[u8]), input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| target(input))).map_err(|panic| text(panic.as_ref()))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_default()
}

/// Writes an input that shows a fault where it is not deleted between runs.
fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = repository().join("target/fuzz/failed").join(name);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{:.16x}", Sha256::digest(input)));
    fs::write(&path, input).unwrap();
    path
}

fn report(name: &str, path: &Path, input: &[u8], reason: &str) -> String {
    format!(
        "{name}: {reason}\n\ninput: \"{}\"\nagain: TRANSOM_FUZZ_INPUT={} \
         cargo test -p transom-tests --test fuzz {name}",
        input.escape_ascii(),
        path.display()
    )
}
