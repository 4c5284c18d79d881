--[[
report.lua: add what a worker has decided to what the fleet has.

Model
  A quarter of an hour of counts in buckets of 10 s, in one hash with a field "START:NAME", START
  in seconds since 1970. And who was denied how often in spans of 5 min, in one sorted set for
  even spans and one for odd ones: what is counted now, and what was before. Which spans these are
  stands in the hash, in the fields even:span and odd:span.
  Both are bounded: older buckets are dropped, and of a span the 1,000 most denied are kept. Who
  is not among them begins again at nothing, so the counts of the least are lower bounds.

Keys: 3, in one hash slot
  KEYS[1]  traffic       hash
  KEYS[2]  even          sorted set
  KEYS[3]  odd           sorted set

Arguments: 2
  ARGV[1]  counts        JSON object, a number of decisions by name
  ARGV[2]  denied        JSON object, a number of denials by identity

Returns: the number of identities that are counted in this span

Clock
  TIME, read once. Nobody sends a time.

Expiry
  A quarter of an hour after the last report, and at the end of the next span.

Commands: TIME HINCRBY HKEYS HDEL HGET HSET DEL PEXPIRE ZINCRBY ZCARD ZREMRANGEBYRANK
Works on Redis 6.2 and later, and on Valkey.
]]
local BUCKET_S, BUCKETS, SPAN_S, DENIED_MAX = 10, 90, 300, 1000

local traffic, even, odd = KEYS[1], KEYS[2], KEYS[3]
local counts, identities = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local now = tonumber(redis.call('TIME')[1])

local function int(number)
  return string.format('%.0f', number)
end

local start = now - now % BUCKET_S
local is_new = false
for name, count in pairs(counts) do
  local field = string.format('%.0f:%s', start, name)
  if redis.call('HINCRBY', traffic, field, int(count)) == count then is_new = true end
end
if is_new then
  for _, field in ipairs(redis.call('HKEYS', traffic)) do
    local at = tonumber(string.match(field, '^(%d+):'))
    local of_bucket = not string.match(field, ':span$')
    if of_bucket and (not at or at <= start - BUCKETS * BUCKET_S or at > start) then
      redis.call('HDEL', traffic, field)
    end
  end
end

local span = math.floor(now / SPAN_S)
local denied, mark = odd, 'odd:span'
if span % 2 == 0 then denied, mark = even, 'even:span' end
if redis.call('HGET', traffic, mark) ~= int(span) then
  redis.call('DEL', denied)
  redis.call('HSET', traffic, mark, int(span))
end
for identity, count in pairs(identities) do
  redis.call('ZINCRBY', denied, int(count), identity)
end
local size = redis.call('ZCARD', denied)
if size > DENIED_MAX then
  redis.call('ZREMRANGEBYRANK', denied, 0, size - DENIED_MAX - 1)
end
if size > 0 then
  redis.call('PEXPIRE', denied, int(((span + 2) * SPAN_S - now) * 1000))
end
redis.call('PEXPIRE', traffic, int(BUCKETS * BUCKET_S * 1000))
return math.min(size, DENIED_MAX)
