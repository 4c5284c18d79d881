//! The scripts that `lua/admit.lua` is compared with: what a limiter on Redis is usually made of.
//! Each is called for one request and returns 1 where it passes, else 0; one of them says more.

/// A counter in a fixed window. KEYS: the counter. ARGV: window in ms, limit.
pub(crate) const INCR: &str = "
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count <= tonumber(ARGV[2]) and 1 or 0";

/// The generic cell rate algorithm on a single value. KEYS: the value. ARGV: us between requests,
/// us of burst.
pub(crate) const GCRA: &str = "
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
if arrival - now > burst then return 0 end
arrival = arrival + interval
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX',
  math.ceil((arrival - now) / 1000))
return 1";

/// The same, and it says what `lua/admit.lua` says too: after 1 or 0, how many more requests pass
/// now, us until the value is as if nobody had asked, and us until one more passes, 0 where this
/// one did.
pub(crate) const GCRA_TELLING: &str = "
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local wait = arrival - now - burst
if wait > 0 then return { 0, 0, arrival - now, wait } end
arrival = arrival + interval
local reset = arrival - now
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', math.ceil(reset / 1000))
return { 1, math.floor((burst - reset) / interval) + 1, reset, 0 }";

/// Two sorted sets: trim, count, add, renew the expiry. KEYS: minute, second. ARGV: minute's
/// limit, second's limit, a member that no other request has.
pub(crate) const TEXTBOOK: &str = "
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local lengths = { 60000000, 1000000 }
for window = 1, 2 do
  redis.call('ZREMRANGEBYSCORE', KEYS[window], '-inf', now - lengths[window])
  if redis.call('ZCARD', KEYS[window]) >= tonumber(ARGV[window]) then return 0 end
end
for window = 1, 2 do
  redis.call('ZADD', KEYS[window], now, ARGV[3])
  redis.call('PEXPIRE', KEYS[window], lengths[window] / 1000)
end
return 1";

/// What `lua/admit.lua` calls to admit, and a reply as long as its own, but nothing is decided. KEYS
/// and ARGV: as there.
pub(crate) const COMMANDS: &str = "
local call, requests = redis.call, #KEYS / 4
local time = call('TIME')
local now = time[1] .. string.format('%06d', time[2])
local member, replies = now .. '000', { tonumber(now) }
call('EXISTS', unpack(KEYS, 2 * requests + 1))
for i = 1, requests do
  local minute, second = KEYS[2 * i - 1], KEYS[2 * i]
  local seconds = #call('ZRANGE', second, '0', '7')
  if seconds == 8 then call('ZCARD', second) end
  if #call('ZRANGE', minute, '0', '2') == 3 then
    call('ZCARD', minute)
    if seconds == 0 or seconds == 8 then call('ZRANGE', minute, '-1', '-1') end
  end
  call('ZADD', minute, 'NX', now, member)
  call('ZADD', second, 'NX', now, member)
  replies[i + 1] = '1 60 30 30000000 0 2 1 500000 0 0 0'
end
return replies";

/// Counts a request that was found to fit. KEYS: the counter. ARGV: window in s.
pub(crate) const COUNT: &str = "
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count";

#[cfg(test)]
mod tests {
    use transom_tests::RedisServer;

    use super::*;

    /// Three requests at once, and one more every 20 s.
    const INTERVAL_US: i64 = 20_000_000;
    const BURST_US: i64 = 2 * INTERVAL_US;

    #[tokio::test]
    async fn both_gcra_scripts_admit_as_much_and_one_says_how_much_is_left() {
        let server = RedisServer::process(&[]).await;
        let client = redis::Client::open(server.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let (lean, telling) = (redis::Script::new(GCRA), redis::Script::new(GCRA_TELLING));
        for number in 1..=4 {
            let mut call = lean.key("lean");
            let call = call.arg(INTERVAL_US).arg(BURST_US);
            let passes: i64 = call.invoke_async(&mut connection).await.unwrap();
            let mut call = telling.key("telling");
            let call = call.arg(INTERVAL_US).arg(BURST_US);
            let told: [i64; 4] = call.invoke_async(&mut connection).await.unwrap();
            let [allowed, remaining, reset_us, retry_us] = told;
            assert_eq!(allowed, passes, "request {number}: {told:?}");
            assert_eq!((allowed, remaining), (i64::from(number <= 3), (3 - number).max(0)));
            // Less what has passed since the first request.
            let full = number.min(3) * INTERVAL_US;
            assert!((full - INTERVAL_US + 1..=full).contains(&reset_us), "{told:?}");
            let retry_is_due = if allowed == 1 { 0..=0 } else { 1..=INTERVAL_US };
            assert!(retry_is_due.contains(&retry_us), "{told:?}");
        }
    }
}
