//! Under libFuzzer: the target that `TRANSOM_FUZZ_TARGET` names. See the script of this name.

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 9] = [
    ("client_address", crate::client_address::check),
    ("configuration", crate::configuration::check),
    ("decide_body", crate::decide_body::check),
    ("decisions", crate::decisions::check),
    ("fields", crate::fields::check),
    ("identities", crate::identities::check),
    ("paths", crate::paths::check),
    ("policies", crate::policies::check),
    ("replies", crate::replies::check),
];

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var_os("TRANSOM_FUZZ_TARGET").unwrap();
    let named = TARGETS.iter().find(|(known, _)| *known == name);
    named.unwrap_or_else(|| panic!("{name:?} is not in the table of targets")).1
});

fuzz_target!(|input: &[u8]| TARGET(input));
