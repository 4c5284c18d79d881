//! What is read in one go is what is read field by field.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::*;

/// Fields and values that fit, and some that do not. A field may come twice, or under a name that is
/// spelled with an escape.
const FIELDS: [(&str, &[&str]); 7] = [
    ("identity", &[r#""user:42""#, r#""ip:2001:db8::1""#, r#""user:\u00fc\n""#, "null", "4"]),
    ("method", &[r#""POST""#, r#""get""#, r#""G\u0045T""#, "null", r#""no method""#]),
    ("path", &[r#""/v1/people?x""#, r#""/\ud83d\ude00""#, "null", "[]"]),
    ("host", &[r#""api""#, r#""""#, "null"]),
    ("cost", &["0", "1", "1000", "1001", "null", "1.0", "-0", "18446744073709551615", "1e2"]),
    ("peek", &["true", "false", "null", "0"]),
    ("id\\u0065ntity", &[r#""user:7""#, "null"]),
];

fn object() -> impl Strategy<Value = String> {
    let field = select(FIELDS.to_vec())
        .prop_flat_map(|(name, values)| (Just(name), select(values)))
        .prop_map(|(name, value)| format!("\"{name}\":{value}"));
    (vec(field, 0..6), any::<bool>()).prop_map(|(mut fields, named)| {
        if named {
            fields.insert(0, r#""identity":"user:1""#.to_owned());
        }
        format!("{{{}}}", fields.join(","))
    })
}

fn body() -> impl Strategy<Value = String> {
    let batch =
        vec(object(), 0..4).prop_map(|all| format!(r#"{{"requests":[{}]}}"#, all.join(",")));
    let odd = select(vec!["[]", "null", r#"{"requests":null}"#, r#"{"requests":[[]]}"#, "{} {}"]);
    prop_oneof![6 => object(), 3 => batch, 1 => odd.prop_map(str::to_owned)]
}

#[test]
fn what_is_read_in_one_go_is_what_is_read_field_by_field() {
    let (fits, refused) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 5_000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&body(), |body| {
        let any = Asked::read_any(body.as_bytes(), 64);
        if let Some(asked) = Fitting::read(body.as_bytes(), 64) {
            fits.set(fits.get() + 1);
            prop_assert_eq!(Ok(asked), any);
        } else {
            refused.set(refused.get() + u32::from(any.is_err()));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(
        fits.get() > 500 && refused.get() > 500,
        "{} fit, {} do not",
        fits.get(),
        refused.get()
    );
}

/// Goal: what is no batch takes no memory. Method: the fault comes before the end, which is no JSON.
#[test]
fn a_batch_is_read_as_far_as_it_may_go() {
    let request = r#"{"identity":"user:1"}"#;
    let batch = |requests: usize| format!(r#"{{"requests":[{}"#, vec![request; requests].join(","));
    let most = batch(BATCH_MAX) + "]}";
    let Some(Asked::Many(requests)) = Fitting::read(most.as_bytes(), 64) else {
        panic!("the most does not fit")
    };
    assert_eq!(requests.len(), BATCH_MAX);
    let within = r#"{"requests":[{"requests":[{"#.to_owned();
    for (body, is_read) in [(batch(BATCH_MAX + 1), false), (within, false), (batch(1), true)] {
        let error = serde_json::from_slice::<Fitting<'_>>((body + " no").as_bytes()).err().unwrap();
        assert_eq!(error.is_data(), !is_read, "{error}");
    }
}
