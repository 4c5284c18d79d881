use super::*;

fn refusal(pattern: &str) -> String {
    let error = PathPattern::parse(pattern).unwrap_err().to_string();
    let start = format!("path pattern {pattern:?}: ");
    error.strip_prefix(&start).expect("the pattern is named").to_owned()
}

fn literal(text: &str) -> Segment {
    Segment::Literal(text.to_owned())
}

#[test]
fn a_pattern_is_made_of_literals_parameters_and_a_catch_all() {
    let check = |pattern: &str, segments: &[Segment]| {
        assert_eq!(PathPattern::parse(pattern).unwrap().segments(), segments, "{pattern}");
    };
    check("/", &[]);
    check("/v1/people/{id}", &[literal("v1"), literal("people"), Segment::Parameter]);
    check(
        "/v1/{a}/x/{*rest}",
        &[literal("v1"), Segment::Parameter, literal("x"), Segment::CatchAll],
    );
    check("/{größe}/{a-b_2}", &[Segment::Parameter, Segment::Parameter]);
}

#[test]
fn literals_are_normalised_as_paths_are() {
    for pattern in ["/caf%c3%a9/", "/caf%C3%A9", "/café", "//café//", "/%63af%c3%a9"] {
        let segments = PathPattern::parse(pattern).unwrap();
        assert_eq!(segments.segments(), [literal("caf%C3%A9")], "{pattern}");
        assert_eq!(segments.as_str(), pattern);
    }
    let braces = PathPattern::parse("/%7bid%7D").unwrap();
    assert_eq!(braces.segments(), [literal("%7Bid%7D")]);
}

#[test]
fn a_pattern_of_another_kind_is_refused_by_its_reason() {
    assert_eq!(refusal(""), "it does not start with \"/\"");
    assert_eq!(refusal("v1"), "it does not start with \"/\"");
    assert_eq!(refusal("{*all}"), "it does not start with \"/\"");
    assert_eq!(refusal("/v1?a=1"), "a query or fragment takes no part in matching");
    assert_eq!(refusal("/v1#a"), "a query or fragment takes no part in matching");
    assert_eq!(refusal("/{*all}/x"), "a catch-all is not the last segment");
    for partial in ["/{id}.json", "/v{id}", "/{a}{b}", "/{a}-{b}", "/}id{"] {
        assert_eq!(
            refusal(partial),
            format!("in {:?} a parameter is not the whole segment", &partial[1..])
        );
    }
    for unbalanced in ["/{id", "/id}", "/{{id}", "/{*rest"] {
        assert_eq!(
            refusal(unbalanced),
            format!("in {:?} the braces are not balanced", &unbalanced[1..])
        );
    }
    assert_eq!(refusal("/{}"), "in \"{}\" the parameter has no name");
    assert_eq!(refusal("/a/{*}"), "in \"{*}\" the parameter has no name");
    assert_eq!(
        refusal("/{id:int}"),
        "in \"{id:int}\" the name is not made of letters, digits, _ and -"
    );
    for foreign in ["/:id", "/*", "/*rest"] {
        assert!(refusal(foreign).ends_with("a parameter is written {name}, a catch-all {*name}"));
    }
    for dots in ["/a/../b", "/.", "/%2e%2E"] {
        assert!(refusal(dots).ends_with("a dot segment matches no normalised path"), "{dots}");
    }
}

#[test]
fn a_policy_name_is_1_to_64_bytes_that_a_key_name_can_hold() {
    let longest = "n".repeat(64);
    for name in ["default", "a", "V1.people_get-all", longest.as_str()] {
        assert_eq!(PolicyName::new(name).unwrap().as_str(), name);
    }
    let refusal = |name: &str| PolicyName::new(name).unwrap_err().to_string();
    assert_eq!(refusal(""), "policy name \"\": it is empty");
    assert!(refusal(&"n".repeat(65)).ends_with("65 bytes are more than 64"));
    assert_eq!(refusal("a:b"), "policy name \"a:b\": ':' is not one of A-Z a-z 0-9 . _ -");
    assert!(refusal("a b").contains("' ' is not one of"));
    assert!(refusal("é").contains("'é' is not one of"));
    assert!(refusal("{x}").contains("'{' is not one of"));
    assert!(serde_json::from_str::<PolicyName>("\"a/b\"").is_err());
}

#[test]
fn modes_are_read_and_written_in_lower_case() {
    for (mode, text) in [(Mode::Enforce, "enforce"), (Mode::Shadow, "shadow"), (Mode::Off, "off")] {
        assert_eq!(mode.to_string(), text);
        assert_eq!(text.parse::<Mode>().unwrap(), mode);
        assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{text}\""));
    }
    for (on_failure, text) in
        [(OnFailure::Local, "local"), (OnFailure::Allow, "allow"), (OnFailure::Deny, "deny")]
    {
        assert_eq!(on_failure.to_string(), text);
        assert_eq!(text.parse::<OnFailure>().unwrap(), on_failure);
        assert_eq!(serde_json::to_string(&on_failure).unwrap(), format!("\"{text}\""));
    }
    let error = "Enforce".parse::<Mode>().unwrap_err().to_string();
    assert_eq!(error, "unknown variant `Enforce`, expected one of `enforce`, `shadow`, `off`");
}

#[test]
fn a_pattern_alone_matches_what_the_matcher_would_find_for_it() {
    for (pattern, path, expected) in [
        ("/", "/", true),
        ("/", "/a", false),
        ("/a", "/", false),
        ("/a", "/a", true),
        ("/a", "/a/b", false),
        ("/a", "/b", false),
        ("/{x}", "/b", true),
        ("/{x}", "/", false),
        ("/{x}", "/b/c", false),
        ("/a/{x}/c", "/a/b/c", true),
        ("/a/{x}/c", "/a/b/d", false),
        ("/a/{*rest}", "/a/b/c", true),
        ("/a/{*rest}", "/a", false),
        ("/{*rest}", "/", false),
    ] {
        let alone = PathPattern::parse(pattern).unwrap();
        assert_eq!(alone.matches(path), expected, "{pattern} {path}");
        let limits = Limits { minute: 1, second: 1 };
        let mut policy = Policy::new(PolicyName::new("one").unwrap(), limits);
        policy.path = Some(alone);
        let policies = crate::Policies::new(vec![policy]).unwrap();
        let found = policies.find(&Method::GET, None, path).name.as_str();
        assert_eq!(found == "one", expected, "{pattern} {path}");
    }
}

#[test]
fn a_pattern_without_a_literal_is_vague() {
    for (pattern, expected) in
        [("/{*rest}", true), ("/{x}/{*rest}", true), ("/a/{*rest}", false), ("/", false)]
    {
        assert_eq!(PathPattern::parse(pattern).unwrap().is_vague(), expected, "{pattern}");
    }
}
