//! Path patterns such as `/v1/people/{id}`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::PolicyError;
use crate::path::normalise;

/// A pattern over the segments of a normalised path, as [`normalise`] makes them.
///
/// | segment   | matches                                                    |
/// |-----------|------------------------------------------------------------|
/// | `people`  | itself, in any spelling that normalises to the same        |
/// | `{id}`    | exactly one segment; a parameter is a whole segment        |
/// | `{*rest}` | all segments from here on, at least one; only at the end   |
///
/// So `/v1/search/{*rest}` matches `/v1/search/a` and `/v1/search/a/b` but not `/v1/search`, and
/// `/{*rest}` does not match `/`: as in matchit and axum, and so that a policy for a collection
/// and one for what is in it can be told apart. Names of parameters are for the reader and have no
/// effect.
///
/// A slash at the end and a doubled one have no effect. A dot segment is refused, since no
/// normalised path has one, and so is a segment that begins with `:` or `*`, which other routers
/// take for a parameter. A brace that is meant literally is written `%7B` or `%7D`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    segments: Vec<Segment>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A segment in normal form.
    Literal(String),
    /// Any one segment.
    Parameter,
    /// The rest of the path.
    CatchAll,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Pattern`] for a pattern that does not start with `/`, carries a query or a
    /// fragment, or has a segment of another kind than the three above.
    ///
    /// ```
    /// # use transom_core::PathPattern;
    /// let pattern = PathPattern::parse("/v1/people/{id}")?;
    /// assert_eq!(pattern.as_str(), "/v1/people/{id}");
    /// let error = PathPattern::parse("/v1/{id}.json").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     r#"path pattern "/v1/{id}.json": in "{id}.json" a parameter is not the whole segment"#,
    /// );
    /// # Ok::<(), transom_core::PolicyError>(())
    /// ```
    pub fn parse(pattern: &str) -> Result<Self, PolicyError> {
        match parse_segments(pattern) {
            Ok(segments) => Ok(Self { text: pattern.to_owned(), segments }),
            Err(reason) => Err(PolicyError::Pattern { pattern: pattern.to_owned(), reason }),
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path in normal form, as [`normalise`] makes it, matches.
    ///
    /// ```
    /// # use transom_core::PathPattern;
    /// let health = PathPattern::parse("/health/{probe}")?;
    /// assert!(health.matches("/health/live"));
    /// assert!(!health.matches("/health") && !health.matches("/health/live/x"));
    /// # Ok::<(), transom_core::PolicyError>(())
    /// ```
    pub fn matches(&self, path: &str) -> bool {
        let mut rest = path.split('/').filter(|segment| !segment.is_empty());
        for segment in &self.segments {
            match (segment, rest.next()) {
                (_, None) => return false,
                (Segment::CatchAll, Some(_)) => return true,
                (Segment::Literal(literal), Some(found)) if literal != found => return false,
                (Segment::Literal(_) | Segment::Parameter, Some(_)) => {}
            }
        }
        rest.next().is_none()
    }

    /// Whether no segment says what it must be, so that the pattern matches nearly every path.
    pub fn is_vague(&self) -> bool {
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        !self.segments.is_empty() && !self.segments.iter().any(is_literal)
    }

    /// The segments in order, without empty ones; none for `/`.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PolicyError;

    fn try_from(pattern: String) -> Result<Self, PolicyError> {
        Self::parse(&pattern)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

/// The segments of a pattern, or the reason why it is refused.
fn parse_segments(pattern: &str) -> Result<Vec<Segment>, String> {
    let Some(path) = pattern.strip_prefix('/') else {
        return Err("it does not start with \"/\"".to_owned());
    };
    if pattern.contains(['?', '#']) {
        return Err("a query or fragment takes no part in matching".to_owned());
    }
    let mut segments = Vec::new();
    for text in path.split('/').filter(|text| !text.is_empty()) {
        if segments.last() == Some(&Segment::CatchAll) {
            return Err("a catch-all is not the last segment".to_owned());
        }
        segments.push(parse_segment(text).map_err(|fault| format!("in {text:?} {fault}"))?);
    }
    Ok(segments)
}

fn parse_segment(text: &str) -> Result<Segment, &'static str> {
    if text.contains(['{', '}']) {
        return parse_parameter(text);
    }
    if text.starts_with([':', '*']) {
        return Err("a parameter is written {name}, a catch-all {*name}");
    }
    match normalise(&format!("/{text}")).strip_prefix('/') {
        None | Some("") => Err("a dot segment matches no normalised path"),
        Some(literal) => Ok(Segment::Literal(literal.to_owned())),
    }
}

fn parse_parameter(text: &str) -> Result<Segment, &'static str> {
    if text.matches('{').count() != text.matches('}').count() {
        return Err("the braces are not balanced");
    }
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Err("a parameter is not the whole segment");
    };
    let (segment, name) = match inner.strip_prefix('*') {
        Some(name) => (Segment::CatchAll, name),
        None => (Segment::Parameter, inner),
    };
    if name.is_empty() {
        Err("the parameter has no name")
    } else if name.chars().all(|character| character.is_alphanumeric() || "_-".contains(character))
    {
        Ok(segment)
    } else if name.contains(['{', '}']) {
        Err("a parameter is not the whole segment")
    } else {
        Err("the name is not made of letters, digits, _ and -")
    }
}
