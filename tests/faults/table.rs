//! The table in the docs has the rows that there are.

use std::collections::BTreeSet;

use transom_tests::promises::{LEFT_OUT, document, rows_of};

use crate::{calm, cluster, memory, once, sentinel, single, skew};

#[test]
fn the_table_in_the_docs_names_every_row_and_no_other() {
    let rows = [
        single::ROWS,
        cluster::ROWS,
        sentinel::ROWS,
        once::ROWS,
        calm::ROWS,
        memory::ROWS,
        skew::ROWS,
    ];
    let rows: BTreeSet<String> = rows.into_iter().flatten().map(|row| (*row).to_owned()).collect();
    let text = std::fs::read_to_string(document()).expect("docs/promises.md");
    assert_eq!(
        rows_of(&text),
        rows,
        "`cargo run -p transom-tests --bin promises` writes the table"
    );
    for (cells, _) in LEFT_OUT {
        let there = cells.split(", ").find(|cell| rows.contains(*cell));
        assert_eq!(there, None, "left out, and there");
        assert!(text.contains(cells), "{cells} is left out of the document too");
    }
}
