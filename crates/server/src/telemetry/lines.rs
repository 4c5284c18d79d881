//! Lines of the log, with the id of the request that they are about.
//!
//! What is known of the request is kept beside the task. A span would do the same, and would be
//! made, entered and ended for each request, though few have a line.

use std::cell::Cell;
use std::fmt;

use http::HeaderValue;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use transom_core::PolicyName;

tokio::task_local! {
    static REQUEST: About;
}

/// A request that is being answered.
struct About {
    id: HeaderValue,
    /// Whether the policy is asked for later.
    with_policy: bool,
    policy: Cell<Option<PolicyName>>,
}

/// Lines that are logged meanwhile are about the request of this id. The policy that it is decided
/// under is kept where `with_policy` says that it will be asked for.
pub(super) async fn about<T>(
    id: HeaderValue,
    with_policy: bool,
    work: impl Future<Output = T>,
) -> T {
    REQUEST.scope(About { id, with_policy, policy: Cell::default() }, work).await
}

/// The request of this task is decided under this policy.
pub(crate) fn decided_under(policy: &PolicyName) {
    // Outside of a request there is nothing to keep.
    let _ = REQUEST.try_with(|request| {
        if request.with_policy {
            request.policy.set(Some(policy.clone()));
        }
    });
}

/// The policy that the request of this task was decided under.
pub(super) fn policy() -> Option<PolicyName> {
    REQUEST.try_with(|request| request.policy.take()).ok().flatten()
}

/// Writes lines in the format of another, and `request_id` at their end.
pub(super) struct Lines<F> {
    pub(super) format: F,
    /// A line is an object.
    pub(super) json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Ok(id) = REQUEST.try_with(|request| request.id.clone()) else {
            return self.format.format_event(context, writer, event);
        };
        let (id, mut line) = (id.to_str().unwrap_or_default(), String::new());
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end_matches('\n');
        match line.strip_suffix('}').filter(|_| self.json) {
            // A string can always be written as JSON.
            Some(fields) => {
                let id = serde_json::to_string(id).unwrap_or_default();
                writeln!(writer, "{fields},\"request_id\":{id}}}")
            }
            None => writeln!(writer, "{line} request_id={id}"),
        }
    }
}
