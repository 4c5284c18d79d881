//! The binary `transom`.
fn main() {}
