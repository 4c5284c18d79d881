//! The headers of the scripts against their bodies: what nobody checks goes stale.

use std::collections::BTreeSet;

use transom_core::Window;
use transom_tests::redis_server::repository;

/// The length at which a script has taken over what belongs into `core`.
const LINES_MAX: usize = 350;

/// What may be joined to text: text.
const TEXT: [&str; 6] = ["format(", "stamp", "since", "minute_since", "second_since", "'"];

struct Lua {
    name: String,
    header: String,
    body: String,
}

/// The two scripts that decide.
fn scripts() -> [Lua; 2] {
    ["admit.lua", "peek.lua"].map(Lua::read)
}

/// Every script.
fn all() -> Vec<Lua> {
    let entries = std::fs::read_dir(repository().join("lua")).unwrap();
    entries.map(|entry| Lua::read(&entry.unwrap().file_name().into_string().unwrap())).collect()
}

impl Lua {
    fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(repository().join("lua").join(name)).unwrap();
        assert!(text.lines().count() <= LINES_MAX, "{name} is longer than {LINES_MAX} lines");
        let (header, body) = text.split_once("\n]]\n").expect("a header in --[[ ]]");
        let header = header.strip_prefix("--[[\n").expect("the header comes first");
        assert!(header.starts_with(&format!("{name}: ")), "{name} says its own name");
        Self { name: name.to_owned(), header: header.to_owned(), body: body.to_owned() }
    }

    /// The names of the entries `  LABEL[n]  name` of the header, which count from 1.
    fn entries(&self, label: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for line in self.header.lines() {
            let indented = line.strip_prefix("  ").and_then(|line| line.strip_prefix(label));
            let Some(rest) = indented.and_then(|line| line.strip_prefix('[')) else {
                continue;
            };
            let (number, rest) = rest.split_once(']').unwrap();
            names.push(rest.split_whitespace().next().unwrap());
            assert_eq!(number.parse(), Ok(names.len()), "{}: {line}", self.name);
        }
        names
    }

    /// The number behind `word` in the header.
    fn says(&self, word: &str) -> usize {
        let rest = self.header.split(word).nth(1).unwrap_or_else(|| panic!("no {word:?}"));
        let number = rest.split(|other: char| !other.is_ascii_digit()).next().unwrap();
        number.parse().unwrap()
    }

    /// The words between quotes behind `call(` and `pcall(`.
    fn commands(&self) -> BTreeSet<&str> {
        let calls = self.body.split("call('").skip(1);
        calls.map(|rest| rest.split('\'').next().unwrap()).collect()
    }

    /// The number in `NAME, ... = ..., n` of a local that the header is held against.
    fn local(&self, position: usize, line: &str) -> usize {
        let line = self.body.lines().find(|found| found.starts_with(line)).unwrap();
        let (_, values) = line.split_once(" = ").unwrap();
        values.split(", ").nth(position).unwrap().parse().unwrap()
    }

    /// The parts of the text of a reply.
    fn formats(&self, name: &str) -> Vec<&str> {
        let (_, text) = self.body.split_once(&format!("local {name} = '")).unwrap();
        text.split_once('\'').unwrap().0.split(' ').collect()
    }

    /// What stands between the marks of the shared part.
    fn shared(&self) -> &str {
        let (_, rest) = self.body.split_once("-- shared with the other script: begin\n").unwrap();
        rest.split_once("-- shared with the other script: end\n").unwrap().0
    }
}

#[test]
fn keys_and_arguments_are_as_many_as_the_header_says_and_the_body_uses() {
    for lua in all() {
        for (title, label) in [("Keys: ", "KEYS"), ("Arguments: ", "ARGV")] {
            let listed = lua.entries(label).len();
            assert_eq!(lua.says(title), listed, "{}: {title}", lua.name);
            let used = lua.body.matches(&format!("{label}[")).count();
            assert_eq!(used, listed, "{}: {label}", lua.name);
        }
    }
}

#[test]
fn keys_and_arguments_of_a_decision_are_named_as_in_the_header() {
    for lua in scripts() {
        let (keys, arguments) = (lua.entries("KEYS"), lua.entries("ARGV"));
        let (requests, terms) = arguments.split_first().unwrap();
        assert_eq!(lua.local(0, "local KEYS_EACH, TERMS_EACH"), keys.len(), "{}", lua.name);
        assert_eq!(lua.local(1, "local KEYS_EACH, TERMS_EACH"), arguments.len(), "{}", lua.name);
        let places = ["2 * i + 1", "2 * i + 2", "2 * (requests + i) + 1", "2 * (requests + i) + 2"];
        for (pair, names) in places.chunks(2).zip(keys.chunks(2)) {
            let named = names.join("_key, ") + "_key";
            let taken = format!("local {named} = KEYS[{}], KEYS[{}]\n", pair[0], pair[1]);
            assert!(lua.body.contains(&taken), "{}: {taken}", lua.name);
        }
        assert_eq!(*requests, "requests");
        assert!(lua.body.contains("local ends = begins + ARGV[terms + 1]"), "{}", lua.name);
        for (at, name) in (2..).zip(terms) {
            let argument = format!("ARGV[terms + {at}]");
            let line = lua.body.lines().find(|line| line.contains(&argument)).unwrap();
            let starts = format!("  local {name} = ");
            assert!(line.starts_with(&starts), "{}: {line} is not {starts}", lua.name);
        }
    }
}

#[test]
fn the_reply_has_the_fields_of_the_header_in_their_order() {
    for lua in scripts() {
        let fields = lua.entries("");
        // The text of a denial, and what stands in it.
        let written = lua.formats("DENIED");
        assert_eq!(written, ["0", "%d", "%d", "%d", "%d", "%d", "%d", "%d", "%d", "%d", "%d"]);
        let (_, values) = lua.body.split_once("format(DENIED, ").unwrap();
        let (values, _) = values.split_once(')').unwrap();
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        assert_eq!([&["allowed"], &*values].concat(), fields, "{}", lua.name);
        // That of an admission: nothing waits, and there is no block.
        let written = lua.formats("ADMITTED");
        let filled = fields.iter().zip(&written).filter(|(_, form)| **form == "%d");
        let filled: Vec<&str> = filled.map(|(name, _)| *name).collect();
        let says = "format(ADMITTED, minute_limit, second_limit, limits_from)";
        assert!(lua.body.contains(says), "{}", lua.name);
        assert_eq!(filled, ["minute_limit", "second_limit", "limits_from"], "{}", lua.name);
        let filled = fields.iter().zip(&written).filter(|(_, form)| **form == "%%d");
        let values: Vec<&str> = filled.map(|(name, _)| *name).collect();
        let says = format!("format(says, {})", values.join(", "));
        assert!(lua.body.contains(&says), "{}: {says}", lua.name);
        let fixed = fields.iter().zip(&written).filter(|(_, form)| !form.contains('%'));
        let fixed: Vec<_> = fixed.map(|(name, form)| (*name, *form)).collect();
        let waits = [("minute_wait", "0"), ("second_wait", "0"), ("blocked", "0")];
        assert_eq!(fixed, [&[("allowed", "1")], &waits[..]].concat(), "{}", lua.name);
        assert_eq!(lua.says("  either "), fields.len(), "{}", lua.name);
    }
}

#[test]
fn the_commands_of_the_header_are_those_that_are_called() {
    for lua in all() {
        let (_, listed) = lua.header.split_once("\nCommands: ").unwrap();
        let (listed, _) = listed.split_once("\nWorks on ").unwrap();
        let listed: BTreeSet<&str> = listed.split_whitespace().collect();
        assert_eq!(listed, lua.commands(), "{}", lua.name);
    }
    let [_, peek] = scripts();
    for write in ["ZADD", "ZREMRANGEBYSCORE", "PEXPIRE", "HSET"] {
        assert!(!peek.commands().contains(write), "peek.lua may not write");
    }
}

#[test]
fn the_clock_is_read_once_and_nobody_sends_a_time() {
    for lua in all() {
        let reads = usize::from(!lua.header.contains("\nClock\n  None is read.\n"));
        assert_eq!(lua.body.matches("redis.call('TIME')").count(), reads, "{}", lua.name);
        assert!(!lua.body.contains("tostring"), "{}: tostring loses digits", lua.name);
        for line in lua.body.lines().filter(|line| line.contains("..")) {
            let joined = line.split(" .. ").skip(1);
            let is_text = |part: &str| TEXT.iter().any(|text| part.starts_with(text));
            let all = joined.clone().count() > 0 && joined.clone().all(is_text);
            assert!(all, "{}: {line}: numbers lose digits", lua.name);
        }
    }
}

#[test]
fn the_scripts_share_their_reading_and_their_windows_are_those_of_core() {
    let [admit, peek] = scripts();
    assert_eq!(admit.shared(), peek.shared());
    for lua in [&admit, &peek] {
        for (at, window) in Window::ALL.into_iter().enumerate() {
            let length = lua.local(at, "local MINUTE_US, SECOND_US");
            assert_eq!(u64::try_from(length), Ok(window.length_us()), "{}", lua.name);
        }
    }
}
