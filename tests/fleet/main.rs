//! Many workers, one limit: every decision of a fleet is logged and judged by a checker, and the
//! checker by scripts that break a rule on purpose.

mod denials;
mod exactness;
mod hints;
mod mutants;
