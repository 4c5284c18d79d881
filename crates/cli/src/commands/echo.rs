//! `transom echo`

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use transom_server::gateway::serve_echo;

use crate::Exit;
use crate::commands::{AskedToEnd, say};

pub(crate) async fn run(listen: SocketAddr) -> anyhow::Result<Exit> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("--listen: cannot listen on {listen}"))?;
    let mut asked = AskedToEnd::listen()?;
    say(format_args!("echo on http://{}", listener.local_addr()?))?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve_echo(listener, stop.clone()));
    asked.next().await;
    stop.cancel();
    serving.await?;
    Ok(Exit::Done)
}
