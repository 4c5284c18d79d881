//! Commands that are not decisions, and where each goes.

use std::sync::Arc;

use redis::{Arg, Cmd, Pipeline, Value};
use transom_core::Unavailable;

use super::{Address, Cluster, HOPS_MAX, slot};
use crate::error;
use crate::node::Node;

impl Cluster {
    /// Sends a command to the node that has its key, and on to where that node says. One without a
    /// key goes to any node that is there.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, Unavailable> {
        let mut at = self.node_for(command)?;
        let mut asking = false;
        for _ in 0..HOPS_MAX {
            let answer = at.send(command, asking).await;
            let Some(redirect) =
                answer.as_ref().err().and_then(|said| self.follow(said, &at.address))
            else {
                return answer;
            };
            (at, asking) = (redirect.node, redirect.asking);
        }
        at.send(command, asking).await
    }

    /// Sends some commands, those for one node at once, and gives the replies as one array.
    pub(crate) async fn send_all(&self, commands: &Pipeline) -> Result<Value, Unavailable> {
        let commands: Vec<_> = commands.cmd_iter().collect();
        let keyed = commands.iter().find(|command| key_of(command).is_some());
        let mut parts: Vec<(Arc<Node>, Vec<usize>, Pipeline)> = Vec::new();
        for (place, command) in commands.iter().enumerate() {
            // What has no key goes along with what has one.
            let with = if key_of(command).is_some() { command } else { keyed.unwrap_or(command) };
            let node = self.node_for(with)?;
            let part = parts.iter().position(|(known, ..)| Arc::ptr_eq(known, &node));
            let part = part.unwrap_or_else(|| {
                parts.push((node, Vec::new(), redis::pipe()));
                parts.len() - 1
            });
            if let Some((_, places, pipeline)) = parts.get_mut(part) {
                places.push(place);
                pipeline.add_command((*command).clone());
            }
        }
        let mut replies = vec![Value::Nil; commands.len()];
        for (node, places, mut pipeline) in parts {
            for (place, reply) in places.into_iter().zip(node.send_each(&mut pipeline).await?) {
                replies[place] = match reply.map_err(|error| error::of_call(&error)) {
                    Err(said) if Redirected::read(&said, &node.address).is_some() => {
                        self.send(commands[place]).await?
                    }
                    reply => reply?,
                };
            }
        }
        Ok(Value::Array(replies))
    }

    fn node_for(&self, command: &Cmd) -> Result<Arc<Node>, Unavailable> {
        if let Some(key) = key_of(command) {
            return self.of_slot(slot::of_key(key));
        }
        let map = self.map.load();
        let there = map.nodes().iter().find(|node| node.lanes.state().is_ok());
        there.or(map.nodes().first()).map_or_else(|| self.of_slot(0), |node| Ok(Arc::clone(node)))
    }
}

/// The key of a command, by which it finds its node: its first argument, that of a script the
/// third. Commands without arguments have none.
fn key_of(command: &Cmd) -> Option<&[u8]> {
    let mut words = command.args_iter().filter_map(|word| match word {
        Arg::Simple(bytes) => Some(bytes),
        _ => None,
    });
    match words.next()? {
        b"EVAL" | b"EVALSHA" => words.nth(2),
        _ => words.next(),
    }
}

/// What a node says that does not have a slot, or is giving it away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redirected {
    pub(super) slot: u16,
    pub(super) address: Address,
    pub(super) asking: bool,
}

impl Redirected {
    pub(super) fn read(said: &Unavailable, asked: &Address) -> Option<Self> {
        let Unavailable::Refused { code, detail } = said else { return None };
        let asking = match code.as_str() {
            "MOVED" => false,
            "ASK" => true,
            _ => return None,
        };
        let (slot, address) = detail.split_once(' ')?;
        let slot = slot.parse().ok()?;
        Some(Self { slot, address: Address::parse(address, asked)?, asking })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_read_and_nothing_else_is_one() {
        let asked = Address { host: "10.0.0.9".into(), port: 7 };
        let read = |code: &str, detail: &str| {
            let said = Unavailable::Refused { code: code.to_owned(), detail: detail.to_owned() };
            Redirected::read(&said, &asked)
        };
        let to = |slot, port, asking| {
            Some(Redirected { slot, address: Address { host: "10.0.0.1".into(), port }, asking })
        };
        assert_eq!(read("MOVED", "3999 10.0.0.1:6381"), to(3_999, 6_381, false));
        assert_eq!(read("ASK", "12 10.0.0.1:1"), to(12, 1, true));
        for (code, detail) in
            [("TRYAGAIN", "3999 10.0.0.1:6381"), ("MOVED", ""), ("MOVED", "x y"), ("ASK", "1 :x")]
        {
            assert_eq!(read(code, detail), None, "{code} {detail}");
        }
        assert_eq!(Redirected::read(&Unavailable::Deadline, &asked), None);
    }

    #[test]
    fn a_command_goes_where_its_key_is() {
        let key = |words: &[&str]| {
            let mut command = redis::cmd(words[0]);
            command.arg(&words[1..]);
            key_of(&command).map(<[u8]>::to_vec)
        };
        assert_eq!(key(&["GET", "k"]).as_deref(), Some(&b"k"[..]));
        assert_eq!(key(&["EVAL", "return 1", "1", "k", "x"]).as_deref(), Some(&b"k"[..]));
        assert_eq!(key(&["EVALSHA", "00ff", "1", "k"]).as_deref(), Some(&b"k"[..]));
        assert_eq!(key(&["TIME"]), None);
    }
}
