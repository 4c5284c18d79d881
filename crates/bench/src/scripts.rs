//! The scripts that `lua/admit.lua` is compared with: what a limiter on Redis is usually made of.
//! Each is called for one request and returns 1 where it passes, else 0.

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

/// Counts a request that was found to fit. KEYS: the counter. ARGV: window in s.
pub(crate) const COUNT: &str = "
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count";
