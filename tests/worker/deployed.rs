//! The dashboard and the alert rules in `deploy/`, against what a worker serves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;
use transom_tests::RedisServer;
use transom_tests::redis_server::repository;

use crate::metrics::{names, promtool, served, worker_after_traffic};

/// Labels that Prometheus adds to what it fetches.
const OF_PROMETHEUS: [&str; 3] = ["instance", "job", "le"];
/// What the name of a metric begins with.
const PREFIXES: [&str; 2] = ["transom_", "process_"];
/// What a histogram's name is followed by.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

/// A question to Prometheus, and the text that names the labels of its answer.
#[derive(Debug)]
pub(crate) struct Question {
    /// Where it is asked: a panel or an alert.
    pub(crate) place: String,
    /// In Prometheus's language.
    pub(crate) expr: String,
    shown: String,
}

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Value {
    serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dashboards, by their file.
fn dashboards() -> Vec<Value> {
    let folder = repository().join("deploy/grafana/dashboards");
    let files = fs::read_dir(folder).expect("the folder of the dashboards");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    names.map(|name| json(&format!("deploy/grafana/dashboards/{name}"))).collect()
}

/// What every panel asks, with the variables of the dashboard filled in.
pub(crate) fn asked_by_panels() -> Vec<Question> {
    let mut questions = Vec::new();
    for dashboard in dashboards() {
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let expr = target["expr"].as_str().expect("an expression");
                let expr = expr.replace("$__rate_interval", "1m").replace("$policy", ".*");
                assert!(!expr.contains('$'), "a variable that this test does not know: {expr}");
                questions.push(Question {
                    place: panel["title"].as_str().expect("a title").to_owned(),
                    expr,
                    shown: target["legendFormat"].as_str().expect("a legend").to_owned(),
                });
            }
        }
    }
    questions
}

/// What every alert asks.
fn asked_by_alerts() -> Vec<Question> {
    let text = text("deploy/prometheus/rules.yml");
    let mut alerts = text.split("- alert: ");
    let _head = alerts.next();
    let question = |alert: &str| {
        let (head, shown) = alert.split_once("annotations:").expect("annotations");
        let (_, expr) = head.split_once("expr: ").expect("an expression");
        let (expr, _) = expr.split_once("for: ").expect("a time");
        Question {
            place: alert.lines().next().expect("a name").to_owned(),
            expr: expr.trim_start_matches(">-").split_whitespace().collect::<Vec<_>>().join(" "),
            shown: shown.split("{{").skip(1).map(in_braces).collect(),
        }
    };
    alerts.map(question).collect()
}

/// `$labels.x` as a legend would write it.
fn in_braces(text: &str) -> String {
    let inside = text.split("}}").next().expect("a part");
    let label = inside.split("$labels.").nth(1);
    let label = label.map(|label| label.split_whitespace().next().expect("a label"));
    label.map_or(String::new(), |label| format!("{{{{{label}}}}}"))
}

/// The metrics that an expression names, each with the labels that it selects by.
fn metrics(expr: &str) -> Vec<(String, Vec<String>)> {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = PREFIXES.iter().filter_map(|prefix| rest.find(prefix)).min() {
        let word = &rest[start..];
        let end = word.find(|letter| !is_of_word(letter)).unwrap_or(word.len());
        let (name, behind) = word.split_at(end);
        let selected = behind.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let labels = selected.map_or("", |(inside, _)| inside).split("\",");
        let labels = labels.filter_map(|pair| pair.find(['=', '!']).map(|at| pair[..at].trim()));
        found.push((name.to_owned(), labels.map(str::to_owned).collect()));
        rest = behind;
    }
    found
}

/// The labels by which an expression groups.
fn grouped(expr: &str) -> Vec<String> {
    let groups = expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
    groups.flat_map(|group| group.split(',').map(|label| label.trim().to_owned())).collect()
}

fn shown(text: &str) -> Vec<String> {
    let labels = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    labels.map(|label| label.trim().to_owned()).collect()
}

/// The labels of a metric, by the name that an expression gives it.
fn labels<'a>(
    served: &'a BTreeMap<String, BTreeSet<String>>,
    name: &str,
) -> Option<&'a BTreeSet<String>> {
    let histogram = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix));
    served.get(name).or_else(|| served.get(histogram?))
}

#[tokio::test]
async fn dashboards_and_alerts_ask_for_metrics_and_labels_that_a_worker_serves() {
    let server = RedisServer::start().await;
    let worker = worker_after_traffic(&server).await;
    let served = names(&served(&worker).await);
    let questions = asked_by_panels().into_iter().chain(asked_by_alerts()).collect::<Vec<_>>();
    assert!(questions.len() > 30, "{questions:#?}");
    for Question { place, expr, shown: legend } in questions {
        let mut known: BTreeSet<String> = OF_PROMETHEUS.map(str::to_owned).into();
        for (name, selected) in metrics(&expr) {
            let labels = labels(&served, &name);
            let labels = labels.unwrap_or_else(|| panic!("{place}: {name} is not served"));
            for label in selected {
                let there = labels.contains(&label) || OF_PROMETHEUS.contains(&label.as_str());
                assert!(there, "{place}: {name} has no label {label}");
            }
            known.extend(labels.iter().cloned());
        }
        for label in grouped(&expr).into_iter().chain(shown(&legend)) {
            assert!(known.contains(&label), "{place}: nothing in {expr} has a label {label}");
        }
    }
}

#[test]
fn promtool_takes_the_rules_and_the_configuration() {
    let root = repository();
    let path = |name: &str| root.join("deploy/prometheus").join(name).display().to_string();
    let said = promtool(&["check", "rules", "--lint-fatal", &path("rules.yml")], "");
    assert!(said.contains("SUCCESS: 11 rules found"), "{said}");
    promtool(&["check", "config", &path("prometheus.yml")], "");
}

#[test]
fn every_alert_has_a_severity_and_a_summary() {
    let rules = text("deploy/prometheus/rules.yml");
    for alert in rules.split("- alert: ").skip(1) {
        let name = alert.lines().next().expect("a name");
        assert!(name.starts_with("Transom"), "{name}");
        for part in ["severity: ", "summary: >-"] {
            assert_eq!(alert.matches(part).count(), 1, "{name}: {part}");
        }
    }
}

/// Goal: Grafana finds the dashboard, and the dashboard its data source. Method: Grafana cannot be
/// had everywhere, so the files are held against each other and against the compose file.
#[test]
fn grafana_is_told_where_its_data_and_its_dashboards_are() {
    let compose = text("docker-compose.yml");
    let source = text("deploy/grafana/provisioning/datasources/prometheus.yml");
    let provider = text("deploy/grafana/provisioning/dashboards/transom.yml");
    assert!(source.contains("url: http://prometheus:9090") && compose.contains("\n  prometheus:"));
    for (inside, here) in [
        ("/etc/grafana/provisioning", "./deploy/grafana/provisioning"),
        ("/etc/grafana/dashboards", "./deploy/grafana/dashboards"),
        ("/etc/prometheus", "./deploy/prometheus"),
    ] {
        assert!(compose.contains(&format!("{here}:{inside}:ro")), "{here} is not mounted");
        assert!(repository().join(here).is_dir(), "{here}");
    }
    assert!(provider.contains("path: /etc/grafana/dashboards"));
    for dashboard in dashboards() {
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        let source_of_all = &variables[0];
        assert_eq!(source_of_all["type"], "datasource");
        let uid = source_of_all["current"]["value"].as_str().expect("a value");
        assert!(source.contains(&format!("uid: {uid}\n")));
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("panels") {
            assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{}", panel["title"]);
            assert!(panel["gridPos"]["w"].as_u64().is_some_and(|width| width <= 24));
            if panel["type"] != "row" {
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
                assert!(!panel["description"].as_str().expect("a description").is_empty());
            }
        }
    }
}
