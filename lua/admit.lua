--[[
admit.lua: admit or deny requests, each against the two sliding windows of its key, in one step.

Model
  A window is a log of admissions: a sorted set with one member for each admitted unit, scored by
  the time of its admission. A unit admitted at t counts while now - t < length. A request is
  admitted if and only if used + cost <= limit in both windows and no block holds, and is then
  recorded in both. A denied request is recorded in neither and writes nothing to them, but for
  the clock rule below.
  An override replaces the limits: one for the policy, else one for all of them ("*").
  Denials may count as strikes. One more than is borne within a span, which begins with the first
  of them, is a block; each that follows is twice as long, until all is forgotten.

Keys: 4 for each request, in one hash slot; any number of requests
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second
  KEYS[3]  override      hash, for a policy P or "*": P:minute P:second P:until_us (0: no end)
  KEYS[4]  penalty       hash: strikes since_us blocks forget_at_us, and with a block until_us
                         (0: no end) at_us by reason identity

Arguments: 6 for each request, checked by the caller
  ARGV[1]  policy        the name by which an override is found
  ARGV[2]  minute_limit  units in any 60 s
  ARGV[3]  second_limit  units in any second
  ARGV[4]  cost          units asked for, 0 to 1000
  ARGV[5]  enforced      1: a block holds and a denial may be a strike; 0: neither
  ARGV[6]  strikes       empty: count none; else six integers: denials that were not reported yet,
                         then strikes that are borne, and the span, the first block, the longest
                         block and the time until all is forgotten, in us; then who it is

Returns: the time of the decision in us since 1970, then one reply for each request
  either 11 integers, counts in units and times in us:
  [1]  allowed           1 or 0
  [2]  minute_limit      the limit in force
  [3]  minute_used       units that count, after this request
  [4]  minute_reset      until the oldest unit leaves, 0 if there is none
  [5]  minute_wait       denied: until the cost fits; the whole window if it is above the limit
  [6]  second_limit      the same for the second window
  [7]  second_used
  [8]  second_reset
  [9]  second_wait
  [10]  limits_from      0 the arguments, 1 an override for the policy, 2 one for all
  [11]  blocked          until the block ends, a day if it does not, 0 if there is none
  or the text of an error (WRONGTYPE, OOM, READONLY, ...): this request was not recorded, the
  others stand.

Members
  The time in us and three digits that run through the call, as one decimal integer: Redis stores
  it as 64 bits. A member that is taken yields the next integer. Digits are joined by
  string.format: Lua's own conversion prints 14 digits and would merge members.

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now (the clock stepped back)
  is stamped now, for good: the one case in which a denial writes to a window. So is a block that
  begins later than now, with its end.

Expiry
  A key lives two windows from the first admission in a half window, so longer than any unit in
  it counts, and the expiry need not be renewed by every admission. Strikes live until they are
  forgotten.

Order of writes
  ZADD or HSET comes first: Redis checks its memory limit only before the first write of a script.

Commands: TIME EXISTS HGET HMGET HSET ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREMRANGEBYSCORE PEXPIRE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, ARGS_EACH = 4, 6
local MINUTE_US, SECOND_US = 60000000, 1000000
local ENDLESS_US = 86400000000

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

-- The override that holds: where it comes from, and its limits; 0 where none does.
local function override(key, policy)
  for from, scope in ipairs({ policy, '*' }) do
    local held = redis.pcall('HMGET', key, string.format('%s:minute', scope),
      string.format('%s:second', scope), string.format('%s:until_us', scope))
    if held.err then return nil, held.err end
    if held[1] then
      local minute, second, ends = tonumber(held[1]), tonumber(held[2]), tonumber(held[3])
      if not (minute and second and ends) then return nil, 'BADVALUE in an override' end
      if ends == 0 or now < ends then return from, minute, second end
    end
  end
  return 0
end

-- How long a block still holds, and by how much it lies in the future. One of the future reads as
-- begun now.
local function blocked(key)
  local block = redis.pcall('HMGET', key, 'until_us', 'at_us')
  if block.err then return nil, block.err end
  if not block[1] then return 0, 0 end
  local ends, began = tonumber(block[1]), tonumber(block[2])
  if not (ends and began) then return nil, 'BADVALUE in a penalty' end
  local ahead = math.max(began - now, 0)
  if ends == 0 then return ENDLESS_US, ahead end
  return math.max(ends - ahead - now, 0), ahead
end

-- What holds for this identity alone, most often nothing.
local NOTHING = { from = 0, blocked = 0, ahead = 0 }
local function standing(override_key, penalty_key, policy, enforced)
  if redis.call('EXISTS', override_key, penalty_key) == 0 then return NOTHING end
  local from, minute, second = override(override_key, policy)
  if not from then return nil, minute end
  local rest, ahead = 0, 0
  if enforced then
    rest, ahead = blocked(penalty_key)
    if not rest then return nil, ahead end
  end
  return { from = from, minute = minute, second = second, blocked = rest, ahead = ahead }
end

local function reply(allowed, minute, second, limits_from, blocked)
  return {
    allowed and 1 or 0,
    minute.limit, minute.used, minute.reset, minute.wait,
    second.limit, second.used, second.reset, second.wait,
    limits_from, blocked,
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

-- Moves a block of the future to now, for good.
local function restamp(key, own)
  if own.ahead == 0 then return end
  local ends = tonumber(redis.call('HGET', key, 'until_us'))
  if ends > 0 then ends = ends - own.ahead end
  local done = redis.pcall('HSET', key, 'until_us', int(ends), 'at_us', int(now))
  if type(done) == 'table' then return done.err end
end

-- Counts denials as strikes. A block that begins with them is as long as what is returned. Where
-- nothing can be written there is no strike: what the windows say counts.
local function strike(key, count, rules)
  local known = redis.pcall('HMGET', key, 'strikes', 'since_us', 'blocks', 'forget_at_us')
  if known.err then return nil, known.err end
  local strikes, since = tonumber(known[1]) or 0, math.min(tonumber(known[2]) or 0, now)
  local blocks, forget_at = tonumber(known[3]) or 0, tonumber(known[4]) or 0
  if now >= forget_at then strikes, blocks = 0, 0 end
  if strikes == 0 or now - since >= rules.within then strikes, since = 0, now end
  strikes = strikes + count
  local length = 0
  if strikes > rules.borne then
    length = math.min(rules.first * 2 ^ blocks, rules.longest)
    strikes, blocks = 0, blocks + 1
  end
  local lives = rules.forget + length
  local done = redis.pcall('HSET', key, 'strikes', int(strikes), 'since_us', int(since),
    'blocks', int(blocks), 'forget_at_us', int(now + lives))
  if type(done) == 'table' then return 0 end
  if length > 0 then
    redis.call('HSET', key, 'until_us', int(now + length), 'at_us', int(now), 'by', 'penalty',
      'reason', '', 'identity', rules.identity)
  end
  redis.call('PEXPIRE', key, int(math.ceil(lives / 1000)))
  return length
end

-- The denials to count for a request, and the rules for them; none if the caller counts none.
local function to_count(strikes, fitting)
  local numbers, identity = {}, string.match(strikes, '^%d+ %d+ %d+ %d+ %d+ %d+ (.*)$')
  if not identity then return 0 end
  for number in string.gmatch(strikes, '%d+') do numbers[#numbers + 1] = tonumber(number) end
  local count = numbers[1] + (fitting and 0 or 1)
  return count, { borne = numbers[2], within = numbers[3], first = numbers[4],
    longest = numbers[5], forget = numbers[6], identity = identity }
end

local function admit(minute, second, cost, own, penalty_key, strikes)
  local err = clamp(minute) or clamp(second) or restamp(penalty_key, own)
  if err then return err end
  local fitting, rest = fits(minute, cost) and fits(second, cost), own.blocked
  if rest == 0 and strikes ~= '' then
    local count, rules = to_count(strikes, fitting)
    if count > 0 then
      rest, err = strike(penalty_key, count, rules)
      if err then return err end
    end
  end
  local allowed = fitting and rest == 0
  if allowed and cost > 0 then
    err = charge(minute, cost) or charge(second, cost)
    if err then return err end
    taken = taken + cost
  end
  return reply(allowed, minute, second, own.from, rest)
end

local replies = { now }
for i = 0, #KEYS / KEYS_EACH - 1 do
  local minute_key, second_key = KEYS[i * KEYS_EACH + 1], KEYS[i * KEYS_EACH + 2]
  local override_key, penalty_key = KEYS[i * KEYS_EACH + 3], KEYS[i * KEYS_EACH + 4]
  local policy = ARGV[i * ARGS_EACH + 1]
  local minute_limit = tonumber(ARGV[i * ARGS_EACH + 2])
  local second_limit = tonumber(ARGV[i * ARGS_EACH + 3])
  local cost = tonumber(ARGV[i * ARGS_EACH + 4])
  local enforced = ARGV[i * ARGS_EACH + 5] == '1'
  local strikes = ARGV[i * ARGS_EACH + 6]

  local own, err = standing(override_key, penalty_key, policy, enforced)
  local minute, second
  if own then
    minute, err = read(minute_key, MINUTE_US, own.minute or minute_limit, cost)
  end
  if minute then
    second, err = read(second_key, SECOND_US, own.second or second_limit, cost)
  end
  replies[#replies + 1] = err or admit(minute, second, cost, own, penalty_key, strikes)
end
return replies
