//! What a Redis writes to its disk and of the commands that it gets.

use redis::Value;
use redis::aio::MultiplexedConnection;
use transom_tests::RedisServer;

use super::ask;

/// A log of every command with its arguments, files that can be read as text, and a log of writes.
pub(super) const ARGUMENTS: [&str; 8] = [
    "--slowlog-log-slower-than",
    "0",
    "--slowlog-max-len",
    "1000000",
    "--rdbcompression",
    "no",
    "--appendonly",
    "yes",
];

/// Each by a name: the snapshot, the log of writes, the log of commands.
pub(super) async fn all(
    server: &RedisServer,
    connection: &mut MultiplexedConnection,
) -> Vec<(&'static str, String)> {
    let slow: Value = ask(connection, &["SLOWLOG", "GET", "1000000"]).await;
    let commands = format!("{slow:?}");
    assert!(
        commands.contains("EVALSHA") || commands.contains("evalsha"),
        "no decision: {commands}"
    );
    let _: String = ask(connection, &["SAVE"]).await;
    let folder = server.folder().expect("a server that runs as a process");
    let read = |name: &str| -> String {
        let mut texts = String::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("the folder of a server") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains(name) {
                    let bytes = std::fs::read(&path).expect("a file of the server");
                    texts.push_str(&String::from_utf8_lossy(&bytes));
                }
            }
        }
        assert!(texts.contains("{user:42}:default:minute"), "nothing to look through in {name}");
        texts
    };
    vec![
        ("the snapshot", read("dump.rdb")),
        ("the log of writes", read("appendonly.aof")),
        ("the log of commands", commands),
    ]
}
