//! The matcher: the most specific of all policies that match, however the path is spelled.

use std::net::Ipv6Addr;

use http::Method;
use transom_core::{Limits, PathPattern, Policies, Policy, PolicyError, PolicyName};

use crate::paths::{normalise_slowly, spellings};
use crate::runner::run;

/// The most policies of one input: they are put together anew for each that is added.
const POLICIES_MAX: usize = 12;

#[test]
fn policies() {
    run("policies", check);
}

/// Lines `METHODS HOST PATH` with `*` for any, an empty line, then requests of the same form.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (lines, requests) = text.split_once("\n\n").unwrap_or((&text, "GET * /"));
    let mut rules: Vec<Rule> = Vec::new();
    let mut policies = Policies::default();
    for line in lines.lines().take(POLICIES_MAX) {
        let Some(rule) = Rule::read(line) else { continue };
        let all = rules.iter().chain([&rule]).enumerate();
        let all = all.map(|(number, rule)| rule.policy(number)).collect();
        let ties = rule.ties_with(&Rule::default()) || rules.iter().any(|one| one.ties_with(&rule));
        match Policies::new(all) {
            Ok(built) => {
                assert!(!ties, "{line:?} ties with another");
                (policies, rules) = (built, [rules, vec![rule]].concat());
            }
            Err(PolicyError::Tie { first, second, .. }) => assert!(ties, "{first} and {second}"),
            Err(PolicyError::MethodCase { .. } | PolicyError::Host { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    for request in requests.lines() {
        let Some((method, host, path)) = words(request) else { continue };
        let Ok(asked) = Method::from_bytes(method.as_bytes()) else { continue };
        let asked_host = (host != "*").then_some(host);
        let normal = normalise_slowly(path);
        let expected = find_slowly(&rules, method, asked_host, &normal);
        for spelling in [path.to_owned()].into_iter().chain(spellings(&normal)) {
            let found = policies.find(&asked, asked_host, &spelling);
            assert_eq!(found.name.as_str(), expected, "{request:?} as {spelling:?}");
        }
    }
}

fn words(line: &str) -> Option<(&str, &str, &str)> {
    let (method, rest) = line.split_once(' ')?;
    let (host, path) = rest.split_once(' ')?;
    Some((method, host, path))
}

/// A policy as written, with nothing in it for any.
#[derive(Clone, Debug, Default)]
struct Rule {
    methods: Vec<String>,
    host: Option<String>,
    pattern: Option<PathPattern>,
}

impl Rule {
    fn read(line: &str) -> Option<Self> {
        let (methods, host, path) = words(line)?;
        let methods: Vec<String> = match methods {
            "*" => Vec::new(),
            list => list.split(',').map(str::to_owned).collect(),
        };
        if methods.iter().any(|method| Method::from_bytes(method.as_bytes()).is_err()) {
            return None;
        }
        let pattern = match path {
            "*" => None,
            path => Some(PathPattern::parse(path).ok()?),
        };
        Some(Self { methods, host: (host != "*").then(|| host.to_owned()), pattern })
    }

    fn policy(&self, number: usize) -> Policy {
        let name = PolicyName::new(&format!("p{number}")).unwrap();
        let mut policy = Policy::new(name, Limits::DEFAULT);
        policy.methods = self.methods.iter().map(|method| method.parse().unwrap()).collect();
        policy.host.clone_from(&self.host);
        policy.path.clone_from(&self.pattern);
        policy
    }

    /// The segments of the pattern, read from its text.
    fn segments(&self) -> Option<Vec<Segment>> {
        let pattern = self.pattern.as_ref()?.as_str();
        let segments = pattern.split('/').filter(|segment| !segment.is_empty());
        Some(segments.map(Segment::read).collect())
    }

    fn matches(&self, method: &str, host: Option<&str>, path: &str) -> bool {
        let host_fits = match (&self.host, host) {
            (None, _) => true,
            (Some(own), Some(asked)) => own_host(own) == asked_host(asked),
            (Some(_), None) => false,
        };
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let path_fits = self.segments().is_none_or(|pattern| fits(&pattern, &segments));
        let takes = self.methods.is_empty() || self.methods.iter().any(|own| own == method);
        host_fits && path_fits && takes
    }

    /// The greater is the more specific.
    fn specificity(&self) -> impl Ord + use<> {
        let kinds = |segments: Vec<Segment>| segments.iter().map(Segment::rank).collect::<Vec<_>>();
        (self.host.is_some(), self.segments().map(kinds), !self.methods.is_empty())
    }

    fn ties_with(&self, other: &Self) -> bool {
        let host = |rule: &Self| rule.host.as_deref().map(own_host);
        let both_list = !self.methods.is_empty() && !other.methods.is_empty();
        let share = self.methods.iter().any(|method| other.methods.contains(method));
        host(self) == host(other)
            && self.segments() == other.segments()
            && self.methods.is_empty() == other.methods.is_empty()
            && (!both_list || share)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    CatchAll,
    Parameter,
    Literal(String),
}

impl Segment {
    fn read(text: &str) -> Self {
        match text.strip_prefix('{') {
            Some(rest) if rest.starts_with('*') => Self::CatchAll,
            Some(_) => Self::Parameter,
            None => Self::Literal(normalise_slowly(&format!("/{text}"))[1..].to_owned()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::CatchAll => 1,
            Self::Parameter => 2,
            Self::Literal(_) => 3,
        }
    }
}

fn fits(pattern: &[Segment], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        ([Segment::CatchAll], [_, ..]) => true,
        ([Segment::Parameter, pattern @ ..], [_, path @ ..]) => fits(pattern, path),
        ([Segment::Literal(own), pattern @ ..], [asked, path @ ..]) => {
            own == asked && fits(pattern, path)
        }
        _ => false,
    }
}

fn find_slowly(rules: &[Rule], method: &str, host: Option<&str>, path: &str) -> String {
    let mut best: Option<usize> = None;
    for (number, rule) in rules.iter().enumerate() {
        let better = best.is_none_or(|best| rule.specificity() > rules[best].specificity());
        if rule.matches(method, host, path) && better {
            best = Some(number);
        }
    }
    best.map_or("default".to_owned(), |number| format!("p{number}"))
}

/// The host of a policy in one form: an address in full, or a name in lower case.
fn own_host(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<Ipv6Addr>() {
        Ok(address) => format!("{:x?}", address.segments()),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// The host of a request in the same form, without user, port and brackets.
fn asked_host(host: &str) -> String {
    let host = host.rsplit('@').next().unwrap();
    let (bare, in_brackets) = match host.strip_prefix('[') {
        Some(rest) => (rest.split(']').next().unwrap(), true),
        None => (host, false),
    };
    match bare.parse::<Ipv6Addr>() {
        Ok(address) => format!("{:x?}", address.segments()),
        Err(_) if in_brackets => bare.to_ascii_lowercase(),
        Err(_) => {
            let name = bare.split(':').next().unwrap();
            name.trim_end_matches('.').to_ascii_lowercase()
        }
    }
}
