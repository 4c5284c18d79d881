--[[
admit.lua: admit or deny requests, each against the two sliding windows of its key, in one step.

Model
  A window is a log of admissions: a sorted set with one member for each admitted unit, scored by
  the time of its admission. A unit admitted at t counts while now - t < length. A request is
  admitted if and only if used + cost <= limit in both windows, and is then recorded in both.
  A denied request is recorded in neither and writes nothing, but for the clock rule below.

Keys: 2 for each request, in one hash slot; any number of requests
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second

Arguments: 3 for each request, decimal integers, checked by the caller
  ARGV[1]  minute_limit  units in any 60 s
  ARGV[2]  second_limit  units in any second
  ARGV[3]  cost          units asked for, 0 to 1000

Returns: the time of the decision in us since 1970, then one reply for each request
  either 9 integers, counts in units and times in us:
  [1]  allowed           1 or 0
  [2]  minute_limit      the limit in force
  [3]  minute_used       units that count, after this request
  [4]  minute_reset      until the oldest unit leaves, 0 if there is none
  [5]  minute_wait       denied: until the cost fits; the whole window if it is above the limit
  [6]  second_limit      the same for the second window
  [7]  second_used
  [8]  second_reset
  [9]  second_wait
  or the text of an error (WRONGTYPE, OOM, READONLY, ...): this request was not recorded, the
  others stand.

Members
  The time in us and three digits that run through the call, as one decimal integer: Redis stores
  it as 64 bits. A member that is taken yields the next integer. Digits are joined by
  string.format: Lua's own conversion prints 14 digits and would merge members.

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now (the clock stepped back)
  is stamped now, for good: the one case in which a denial writes.

Expiry
  A key lives two windows from the first admission in a half window, so longer than any unit in
  it counts, and the expiry need not be renewed by every admission.

Order of writes
  ZADD comes first: Redis checks its memory limit only before the first write of a script.

Commands: TIME ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREMRANGEBYSCORE PEXPIRE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, ARGS_EACH = 2, 3
local MINUTE_US, SECOND_US = 60000000, 1000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local taken = 0 -- units recorded by this call: the last three digits of the next member

local function int(number)
  return string.format('%.0f', number)
end

-- shared with the other script: begin
-- One window as it stands, and how long the cost has to wait. Reads only. An entry of the future
-- reads as now.
local function read(key, length, limit, cost)
  local log = { key = key, length = length, limit = limit, used = 0, gone = 0, reset = 0 }
  local newest = redis.pcall('ZRANGE', key, -1, -1, 'WITHSCORES')
  if newest.err then return nil, newest.err end
  log.newest = tonumber(newest[2]) or 0

  if log.newest > now - length then
    local size = redis.call('ZCARD', key)
    local oldest = tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
    if oldest <= now - length then
      log.gone = redis.call('ZCOUNT', key, '-inf', int(now - length))
      oldest = tonumber(redis.call('ZRANGE', key, log.gone, log.gone, 'WITHSCORES')[2])
    end
    log.used = size - log.gone
    log.reset = math.min(oldest, now) + length - now
  elseif log.newest > 0 then
    log.gone = 1 -- at least: all of them
  end

  local over = log.used + cost - limit
  if over <= 0 then
    log.wait = 0
  elseif cost > limit then
    log.wait = length
  elseif over == 1 then
    log.wait = log.reset
  else
    local rank = log.gone + over - 1
    local leaves = tonumber(redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')[2])
    log.wait = math.min(leaves, now) + length - now
  end
  return log
end

local function fits(log, cost)
  return log.used + cost <= log.limit
end

local function reply(allowed, minute, second)
  return {
    allowed and 1 or 0,
    minute.limit, minute.used, minute.reset, minute.wait,
    second.limit, second.used, second.reset, second.wait,
  }
end
-- shared with the other script: end

local function expire(log)
  redis.call('PEXPIRE', log.key, int(2 * log.length / 1000))
end

-- Stamps what lies in the future with now.
local function clamp(log)
  if log.newest <= now then return end
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', log.key, '(' .. int(now), '+inf')) do
    local done = redis.pcall('ZADD', log.key, 'XX', int(now), member)
    if type(done) == 'table' then return done.err end
  end
  log.newest = now
  expire(log)
end

-- Records a request that fits. Only the first write of a call can be refused.
local function charge(log, cost)
  local sequence = taken
  for _ = 1, cost do
    local added = 0
    while added == 0 do
      local member = string.format('%.0f%03d', now + math.floor(sequence / 1000), sequence % 1000)
      added = redis.pcall('ZADD', log.key, 'NX', int(now), member)
      if type(added) == 'table' then return added.err end
      sequence = sequence + 1
    end
  end
  if log.gone > 0 then
    redis.call('ZREMRANGEBYSCORE', log.key, '-inf', int(now - log.length))
  end
  if log.newest < now - now % (log.length / 2) then
    expire(log)
  end
  if log.used == 0 then log.reset = log.length end
  log.used = log.used + cost
end

local function admit(minute, second, cost)
  local err = clamp(minute) or clamp(second)
  if err then return err end
  local allowed = fits(minute, cost) and fits(second, cost)
  if allowed and cost > 0 then
    err = charge(minute, cost) or charge(second, cost)
    if err then return err end
    taken = taken + cost
  end
  return reply(allowed, minute, second)
end

local replies = { now }
for i = 0, #KEYS / KEYS_EACH - 1 do
  local minute_key, second_key = KEYS[i * KEYS_EACH + 1], KEYS[i * KEYS_EACH + 2]
  local minute_limit = tonumber(ARGV[i * ARGS_EACH + 1])
  local second_limit = tonumber(ARGV[i * ARGS_EACH + 2])
  local cost = tonumber(ARGV[i * ARGS_EACH + 3])

  local minute, minute_err = read(minute_key, MINUTE_US, minute_limit, cost)
  local second, second_err = read(second_key, SECOND_US, second_limit, cost)
  replies[#replies + 1] = minute_err or second_err or admit(minute, second, cost)
end
return replies
