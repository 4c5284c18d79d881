//! The policies of one host as a tree over path segments.

use http::Method;

use crate::policy::{Policy, Segment};

/// Where a policy stands in the list of all.
type Place = usize;

/// The policies of one host, or of those without a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    tree: Node,
    /// Policies without a path.
    any_path: Takers,
}

/// An earlier policy that a new one ties with.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) with: Place,
    /// The method that both list; `None` if both take any.
    pub(super) method: Option<Method>,
}

/// What may follow the segments read so far.
#[derive(Clone, Debug, Default)]
struct Node {
    /// In the order of the segments.
    literals: Vec<(String, Node)>,
    parameter: Option<Box<Node>>,
    catch_all: Takers,
    /// Policies whose pattern ends here.
    end: Takers,
}

/// The policies of one place in the tree, by method.
#[derive(Clone, Debug, Default)]
struct Takers {
    listed: Vec<(Method, Place)>,
    any: Option<Place>,
}

impl Routes {
    /// Adds the policy at `place`, which nothing but its methods and path is read from.
    pub(super) fn insert(&mut self, policy: &Policy, place: Place) -> Result<(), Conflict> {
        let takers = match &policy.path {
            None => &mut self.any_path,
            Some(pattern) => self.tree.takers_at(pattern.segments()),
        };
        takers.insert(&policy.methods, place)
    }

    /// The most specific policy for a method and a path in normal form.
    pub(super) fn find(&self, method: &Method, path: &str) -> Option<Place> {
        let segments = path.strip_prefix('/').unwrap_or(path);
        self.tree.find(method, segments).or_else(|| self.any_path.find(method))
    }
}

impl Node {
    fn takers_at(&mut self, segments: &[Segment]) -> &mut Takers {
        let Some((first, rest)) = segments.split_first() else {
            return &mut self.end;
        };
        match first {
            Segment::CatchAll => &mut self.catch_all,
            Segment::Parameter => self.parameter.get_or_insert_default().takers_at(rest),
            Segment::Literal(text) => {
                let place = match self.place_of(text) {
                    Ok(place) => place,
                    Err(place) => {
                        self.literals.insert(place, (text.clone(), Self::default()));
                        place
                    }
                };
                self.literals[place].1.takers_at(rest)
            }
        }
    }

    /// The best match for the segments that are left, in order of preference. A node is visited
    /// at most once in a lookup, and the depth is that of the longest pattern, not of the path.
    fn find(&self, method: &Method, segments: &str) -> Option<Place> {
        if segments.is_empty() {
            return self.end.find(method);
        }
        let (first, rest) = segments.split_once('/').unwrap_or((segments, ""));
        let literal = self.place_of(first).ok().map(|place| &self.literals[place].1);
        literal
            .and_then(|node| node.find(method, rest))
            .or_else(|| self.parameter.as_ref()?.find(method, rest))
            .or_else(|| self.catch_all.find(method))
    }

    fn place_of(&self, literal: &str) -> Result<usize, usize> {
        self.literals.binary_search_by(|(text, _)| text.as_str().cmp(literal))
    }
}

impl Takers {
    fn insert(&mut self, methods: &[Method], place: Place) -> Result<(), Conflict> {
        if methods.is_empty() {
            return match self.any.replace(place) {
                Some(with) => Err(Conflict { with, method: None }),
                None => Ok(()),
            };
        }
        for method in methods {
            match self.listed.iter().find(|(listed, _)| listed == method) {
                None => self.listed.push((method.clone(), place)),
                // The policy lists it twice.
                Some(&(_, with)) if with == place => {}
                Some(&(_, with)) => {
                    return Err(Conflict { with, method: Some(method.clone()) });
                }
            }
        }
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<Place> {
        let listed = self.listed.iter().find(|(listed, _)| listed == method);
        listed.map(|&(_, place)| place).or(self.any)
    }
}
