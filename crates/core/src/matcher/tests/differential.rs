//! The matcher against a slow, obvious one: compare all policies that match, take the most
//! specific. It shares no code with the tree and reads patterns from their text.

use http::Method;
use proptest::prelude::*;

use super::{Policies, PolicyError, policies, policy};

/// A policy as text: methods, host and path, with `*` for any.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    methods: Vec<&'static str>,
    host: &'static str,
    path: String,
}

impl Line {
    fn matches(&self, method: &str, host: &str, path: &str) -> bool {
        (self.methods.is_empty() || self.methods.contains(&method))
            && (self.host == "*" || self.host == host)
            && (self.path == "*" || path_matches(&segments(&self.path), &segments(path)))
    }

    /// Compared field by field, the greater is the more specific.
    fn specificity(&self) -> (bool, Option<Vec<u8>>, bool) {
        let kinds = || segments(&self.path).into_iter().map(kind).collect();
        (self.host != "*", (self.path != "*").then(kinds), !self.methods.is_empty())
    }

    fn ties_with(&self, other: &Self) -> bool {
        let shape = |line: &Self| -> Vec<String> {
            let shape_of = |segment| match kind(segment) {
                3 => segment.to_owned(),
                kind => kind.to_string(),
            };
            segments(&line.path).into_iter().map(shape_of).collect()
        };
        self.host == other.host
            && (self.path == "*") == (other.path == "*")
            && shape(self) == shape(other)
            && self.methods.is_empty() == other.methods.is_empty()
            && (self.methods.is_empty()
                || self.methods.iter().any(|method| other.methods.contains(method)))
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods = if self.methods.is_empty() { "*".to_owned() } else { self.methods.join(",") };
        write!(f, "{methods} {} {}", self.host, self.path)
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|segment| !segment.is_empty()).collect()
}

/// 3 for a literal, 2 for a parameter, 1 for a catch-all.
fn kind(segment: &str) -> u8 {
    match segment.strip_prefix('{') {
        None => 3,
        Some(rest) if rest.starts_with('*') => 1,
        Some(_) => 2,
    }
}

fn path_matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([last], [_, ..]) if kind(last) == 1 => true,
        ([first, pattern @ ..], [segment, path @ ..]) => {
            (kind(first) == 2 || first == segment) && path_matches(pattern, path)
        }
        _ => false,
    }
}

fn find_slowly(lines: &[Line], method: &str, host: &str, path: &str) -> Option<usize> {
    let matching = lines.iter().enumerate().filter(|(_, line)| line.matches(method, host, path));
    matching.max_by_key(|(_, line)| line.specificity()).map(|(number, _)| number)
}

fn build(lines: &[Line]) -> Result<Policies, PolicyError> {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    policies(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

const METHODS: [&str; 3] = ["GET", "POST", "PROPFIND"];
const HOSTS: [&str; 3] = ["*", "a.example", "b.example"];

fn lines(count: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<Line>> {
    let segment = prop::sample::select(vec!["a", "a", "b", "{x}", "{y}"]);
    let path = (prop::collection::vec(segment, 0..4), prop::sample::select(vec!["", "", "{*r}"]))
        .prop_map(|(segments, end)| format!("/{}/{end}", segments.join("/")));
    let path = prop_oneof![1 => Just("*".to_owned()), 8 => path];
    let methods =
        prop_oneof![Just(Vec::new()), prop::sample::subsequence(METHODS.to_vec(), 1..=2),];
    let line = (methods, prop::sample::select(HOSTS.to_vec()), path)
        .prop_map(|(methods, host, path)| Line { methods, host, path });
    prop::collection::vec(line, count)
}

fn requests() -> impl Strategy<Value = Vec<(&'static str, &'static str, String)>> {
    let segment = prop::sample::select(vec!["a", "b", "c"]);
    let path = prop::collection::vec(segment, 0..5)
        .prop_map(|segments| format!("/{}", segments.join("/")));
    let method = prop::sample::select(vec!["GET", "POST", "PROPFIND", "HEAD"]);
    let host = prop::sample::select(vec!["*", "a.example", "b.example", "c.example"]);
    prop::collection::vec((method, host, path), 1..24)
}

/// Another spelling of a path.
fn respell(path: &str, way: usize) -> String {
    match way {
        0 => path.to_owned(),
        1 => format!("{path}/?q=/a/b"),
        2 => path.replace('/', "//"),
        3 => format!("{path}/x/%2E%2e/."),
        _ => path.replace('a', "%61"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_most_specific_of_all_that_match_is_found(
        candidates in lines(1..16), requests in requests(), way in 0..5_usize,
    ) {
        let default = Line { methods: Vec::new(), host: "*", path: "*".to_owned() };
        let mut lines: Vec<Line> = Vec::new();
        for line in candidates {
            if !line.ties_with(&default) && !lines.iter().any(|other| other.ties_with(&line)) {
                lines.push(line);
            }
        }
        let policies = build(&lines).unwrap();
        for (method, host, path) in requests {
            let expected = find_slowly(&lines, method, host, &path)
                .map_or("default".to_owned(), |number| format!("p{number}"));
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let asked = (host != "*").then(|| format!("{}:8080", host.to_ascii_uppercase()));
            let found = policies.find(&method, asked.as_deref(), &respell(&path, way));
            prop_assert_eq!(found.name.as_str(), &expected, "{} {} {}", method, host, path);
        }
    }

    #[test]
    fn a_set_is_refused_if_and_only_if_two_of_it_tie(lines in lines(0..6)) {
        let default = Line { methods: Vec::new(), host: "*", path: "*".to_owned() };
        let all: Vec<&Line> = lines.iter().chain([&default]).collect();
        let tie = all.iter().enumerate().any(|(number, line)| {
            all[..number].iter().any(|other| other.ties_with(line))
        });
        match build(&lines) {
            Ok(_) => prop_assert!(!tie),
            Err(PolicyError::Tie { first, second, .. }) => {
                let of = |name: &str| match name.strip_prefix('p') {
                    Some(number) => &lines[number.parse::<usize>().unwrap()],
                    None => &default,
                };
                prop_assert!(of(first.as_str()).ties_with(of(second.as_str())));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn the_order_of_the_policies_does_not_matter(
        candidates in lines(1..10), requests in requests(),
    ) {
        let named = |lines: &[Line]| -> Vec<_> {
            let numbered = lines.iter().enumerate();
            numbered.map(|(number, line)| policy(&format!("p{number}"), &line.to_string())).collect()
        };
        let mut reversed = named(&candidates);
        reversed.reverse();
        let Ok(policies) = Policies::new(named(&candidates)) else {
            prop_assert!(Policies::new(reversed).is_err());
            return Ok(());
        };
        let reversed = Policies::new(reversed).unwrap();
        for (method, host, path) in requests {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            prop_assert_eq!(
                policies.find(&method, Some(host), &path),
                reversed.find(&method, Some(host), &path)
            );
        }
    }
}
