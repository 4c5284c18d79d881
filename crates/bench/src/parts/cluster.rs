//! Redis Cluster: the place of its figures.

use crate::report::Section;

/// Says that there are none.
pub(super) fn section() -> Section {
    let mut section = Section::new("Redis Cluster");
    section.say(
        "Not measured: there is no cluster in this build's tests to start. What belongs here is \
         the cost for each node with 1, 2 and 3 masters, not the wall time, since all nodes share \
         the same cores.",
    );
    section
}
