//! What cannot be done is said in one line, with the exit code that scripts expect.

use transom_tests::RedisServer;

use super::{CONFIG, Cli};
use crate::process::Worker;
use crate::upstream::ClosedPort;

/// Every command, in a form that works where anybody answers.
const COMMANDS: [&str; 15] = [
    "explain user:42",
    "inspect user:42",
    "reset user:42",
    "override set user:42 --minute 1 --second 1",
    "override list",
    "override delete user:42",
    "block user:42",
    "block list",
    "unblock user:42",
    "key create --user 42",
    "key list",
    "key revoke tk_MARKED",
    "top",
    "mode",
    "mode shadow",
];

#[tokio::test]
async fn nobody_who_answers_is_exit_code_3() {
    let closed = ClosedPort::new();
    let redis = Cli::new(&["--redis", &format!("redis://{}", closed.address)]);
    let admin = Cli::new(&["--admin", &format!("http://{}", closed.address)]);
    for command in COMMANDS {
        let said = redis.fails(command, 3, &["redis is unreachable: "]).await;
        assert!(!said.contains("MARKED"), "{said}");
        let there = format!("the admin API at http://{} cannot be reached", closed.address);
        let said = admin.fails(command, 3, &[&there]).await;
        assert!(!said.contains("MARKED"), "{said}");
    }
    admin.fails("top --watch", 3, &["cannot be reached"]).await;
    admin.fails("doctor", 3, &["cannot be reached"]).await;
    let ended = redis.run("doctor").await;
    assert_eq!((ended.code, &*ended.stderr), (Some(3), ""), "{ended:?}");
    assert!(ended.stdout.contains("PROBLEM  connection     redis is unreachable"), "{ended:?}");
    let by_default = Cli::new(&[]).with("TRANSOM_ADMIN", &format!("http://{}", closed.address));
    by_default.fails("mode", 3, &[&closed.address.to_string()]).await;
    let configured = Cli::new(&[]).with("TRANSOM__LISTEN__ADMIN", &closed.address.to_string());
    configured.fails("mode", 3, &[&closed.address.to_string(), "--admin", "--redis"]).await;
}

/// Goal: a worker that has lost its Redis is no answer to an operator.
#[tokio::test]
async fn a_worker_whose_redis_does_not_answer_is_exit_code_3() {
    let closed = ClosedPort::new();
    let url = format!("redis://{}", closed.address);
    let worker = Worker::with(CONFIG, &[("TRANSOM__REDIS__URL", &url)]).await;
    let cli = Cli::over(&worker);
    for command in COMMANDS {
        cli.fails(command, 3, &["redis is unreachable: "]).await;
    }
    assert_eq!(cli.run("doctor").await.code, Some(3));
}

#[tokio::test]
async fn a_token_that_is_wrong_or_missing_is_exit_code_2() {
    let worker = Worker::with(CONFIG, &[("TRANSOM__ADMIN__TOKEN", "sesame-of-a-test")]).await;
    let missing = Cli::over(&worker);
    let wrong = Cli::over(&worker).with("TRANSOM_TOKEN", "MARKED");
    for command in ["explain user:42", "block user:42", "unblock user:42", "mode shadow"] {
        missing.fails(command, 2, &["the admin token is missing", "TRANSOM_TOKEN"]).await;
        let said = wrong.fails(command, 2, &["this is not the admin token"]).await;
        assert!(!said.contains("MARKED"), "{said}");
    }
    let right = Cli::over(&worker).with("TRANSOM_TOKEN", "sesame-of-a-test");
    assert_eq!(right.done("block list").await, "nobody is blocked\n");
    assert!(right.done("mode").await.starts_with("enforce"));
    let help = wrong.done("mode --help").await;
    assert!(!help.contains("MARKED"), "help shows no token: {help}");
}

#[tokio::test]
async fn an_address_that_is_no_admin_api_is_exit_code_2() {
    let worker = Worker::start(CONFIG).await;
    for (address, part) in [
        ("https://127.0.0.1:8083".to_owned(), "https:// is not spoken here"),
        ("127.0.0.1:8083".to_owned(), "http://HOST:PORT is expected"),
        ("http://me:MARKED@127.0.0.1".to_owned(), "use --token"),
        (format!("http://{}", worker.gateway), "not an answer of this admin API"),
        (format!("http://{}", worker.check), "not an answer of this admin API"),
    ] {
        let said = Cli::new(&["--admin", &address]).fails("explain user:42", 2, &[part]).await;
        assert!(!said.contains("MARKED"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_identity_is_refused_before_anybody_is_asked() {
    let closed = ClosedPort::new();
    let cli = Cli::new(&["--admin", &format!("http://{}", closed.address)]);
    let set = "override set 42 --minute 1 --second 1";
    for command in ["explain 42", "inspect user:", "reset ip:", "block ip:1.2.3.4:80", set] {
        cli.fails(command, 2, &["'<IDENTITY>'"]).await;
    }
}

#[tokio::test]
async fn a_worker_that_is_named_goes_before_the_redis_of_the_configuration() {
    let (server, worker) = (RedisServer::start().await, Worker::start(CONFIG).await);
    let cli = Cli::over(&worker).with("TRANSOM__REDIS__URL", &server.url);
    assert_eq!(cli.json("explain user:42", 0).await["source"], "local");
    let admin = format!("http://{}", worker.admin);
    let cli = Cli::over_redis(&server).with("TRANSOM_ADMIN", &admin);
    assert_eq!(cli.json("explain user:42", 0).await["source"], "redis");
    let cli = Cli::new(&[]).with("TRANSOM_ADMIN", &admin);
    assert_eq!(cli.json("explain user:42", 0).await["source"], "local");
}

#[tokio::test]
async fn a_redis_that_breaks_a_promise_is_exit_code_1() {
    let server = RedisServer::process(&[]).await;
    let mut connection = server.connect().await;
    let mut set = redis::cmd("SET");
    set.arg("transom:1:{user:42}:default:minute").arg("text");
    set.exec_async(&mut connection).await.unwrap();
    let cli = Cli::over_redis(&server);
    let ended = cli.run("doctor").await;
    assert_eq!((ended.code, &*ended.stderr), (Some(1), ""), "{ended:?}");
    let problems = ended.stdout.lines().filter(|line| line.starts_with("PROBLEM")).count();
    assert_eq!(problems, 1, "{ended:?}");
}
