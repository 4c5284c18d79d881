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

Arguments: 7, the first for each request, then the others for each of the terms that these name,
which requests may share; checked by the caller
  ARGV[1]  terms         which, counted from 1
  ARGV[2]  policy        the name by which an override is found
  ARGV[3]  minute_limit  units in any 60 s
  ARGV[4]  second_limit  units in any second
  ARGV[5]  cost          units asked for, 0 to 1000
  ARGV[6]  enforced      1: a block holds and a denial may be a strike; 0: neither
  ARGV[7]  strikes       empty: count none; else six integers: denials that were not reported yet,
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
  The time of the admission in us and three digits that count the units of one microsecond, as one
  decimal integer: Redis stores it as 64 bits. A member that is taken yields the next integer.
  Times are read from members, since Redis prints a score as a floating-point number, the slowest
  thing here. One that is not of this form, or names the future, counts by its score.
  Digits are joined as text: Lua's own conversion prints 14 of them and would merge members.

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

Commands: TIME EXISTS HGET HMGET HSET ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREM ZREMRANGEBYSCORE
  ZSCORE PEXPIRE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, TERMS_EACH = 4, 6
local MINUTE_US, SECOND_US = 60000000, 1000000
local time = redis.call('TIME')

-- shared with the other script: begin
local ENDLESS_US = 86400000000
local HEAD_ENDS = '3' -- the place of the last entry that is read at once
local HEAD = HEAD_ENDS + 1 -- few logs of a second have as many
local call, pcall, sub, tonumber = redis.call, redis.pcall, string.sub, tonumber
local stamp = time[1] .. string.format('%06d', time[2])
local now = tonumber(stamp)

local function int(number)
  return string.format('%.0f', number)
end

-- A window, and the log in it that is looked at. There is one of each for all requests of a call:
-- a new table costs as much as a command.
local MINUTE = { length = MINUTE_US, left = now - MINUTE_US, key = '', limit = 0, used = 0,
  gone = 0, last = '', newest = 0, reset = 0, wait = 0 }
local SECOND = { length = SECOND_US, left = now - SECOND_US, key = '', limit = 0, used = 0,
  gone = 0, last = '', newest = 0, reset = 0, wait = 0 }

-- The last score that has left a window.
local function left(log)
  log.left_text = log.left_text or int(log.left)
  return log.left_text
end

-- When a member was admitted. Its score is asked for where the name is not that of a time at which
-- a log can begin or end: somebody else has put it there, or the clock was stepped.
local function at(key, member)
  local time = tonumber(sub(member, 1, -4))
  if time and time <= now and time > now - 2 * MINUTE_US then return time end
  return tonumber(call('ZSCORE', key, member))
end

-- Reads a log as it stands, and how long the cost has to wait; the error if there is one. An entry
-- of the future reads as now. A unit is in both logs, so where the other log has any, its last
-- time is that of this.
local function read(log, key, limit, cost, other)
  local head = pcall('ZRANGE', key, '0', HEAD_ENDS)
  if head.err then return head.err end
  local size, last, newest = #head, head[#head], 0
  if size == HEAD then
    size = call('ZCARD', key)
    last = other and other.last or call('ZRANGE', key, '-1', '-1')[1]
    newest = other and other.last and other.newest or at(key, last)
  elseif last then
    newest = at(key, last)
  end
  local gone, oldest = 0, last and (size == 1 and newest or at(key, head[1]))
  while oldest and oldest <= log.left do
    gone = gone + 1
    oldest = head[gone + 1] and at(key, head[gone + 1])
  end
  if gone == HEAD then
    gone = call('ZCOUNT', key, '-inf', left(log))
    local member = call('ZRANGE', key, gone, gone)[1]
    oldest = member and at(key, member)
  end

  log.key, log.limit, log.used, log.gone = key, limit, size - gone, gone
  log.last, log.newest, log.reset, log.wait = last, newest, 0, 0
  if oldest then log.reset = math.min(oldest, now) - log.left end
  local over = log.used + cost - limit
  if over > 0 then
    if cost > limit then
      log.wait = log.length
    elseif over == 1 then
      log.wait = log.reset
    else
      local rank = gone + over - 1
      local leaves = head[rank + 1] or call('ZRANGE', key, rank, rank)[1]
      log.wait = math.min(at(key, leaves), now) - log.left
    end
  end
end

local function fits(log, cost)
  return log.used + cost <= log.limit
end

-- What holds for this identity alone, where there is an override or a penalty at all; most often
-- there is nothing. The functions are within, since a function is built in every call.
local NOTHING = { from = 0, blocked = 0, ahead = 0 }
local function standing(override_key, penalty_key, policy, enforced)
  -- The override that holds: where it comes from, and its limits; 0 where none does.
  local function override()
    for from, scope in ipairs({ policy, '*' }) do
      local held = pcall('HMGET', override_key, string.format('%s:minute', scope),
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

  -- How long a block still holds, and by how much it lies in the future. One of the future reads
  -- as begun now.
  local function blocked()
    local block = pcall('HMGET', penalty_key, 'until_us', 'at_us')
    if block.err then return nil, block.err end
    if not block[1] then return 0, 0 end
    local ends, began = tonumber(block[1]), tonumber(block[2])
    if not (ends and began) then return nil, 'BADVALUE in a penalty' end
    local ahead = math.max(began - now, 0)
    if ends == 0 then return ENDLESS_US, ahead end
    return math.max(ends - ahead - now, 0), ahead
  end

  local from, minute, second = override()
  if not from then return nil, minute end
  local rest, ahead = 0, 0
  if enforced then
    rest, ahead = blocked()
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
  log.lives_ms = log.lives_ms or int(2 * log.length / 1000)
  call('PEXPIRE', log.key, log.lives_ms)
end

-- Adds a unit, by the first free member from a place in this microsecond on; the next place. Only
-- the first write of a call can be refused.
local first_member = string.format('%s000', stamp)
local function add(log, place)
  local added = 0
  while added == 0 do
    log.last = first_member
    if place > 0 then
      log.last = int(now + math.floor(place / 1000)) .. string.format('%03d', place % 1000)
    end
    added = pcall('ZADD', log.key, 'NX', stamp, log.last)
    if type(added) == 'table' then return nil, added.err end
    place = place + 1
  end
  return place
end

-- Stamps what lies in the future with now.
local function clamp(log)
  local future, place, err = call('ZRANGEBYSCORE', log.key, '(' .. stamp, '+inf'), 0, nil
  for _, member in ipairs(future) do
    place, err = add(log, place)
    if err then return err end
    call('ZREM', log.key, member)
  end
  if #future > 0 then expire(log) end
  log.newest = #future > 0 and now or 0
end

-- Records a request that fits.
local function charge(log, cost)
  local place, err = 0, nil
  if log.newest == now then
    local time, digits = string.match(log.last, '^(%d+)(%d%d%d)$')
    local ahead = (tonumber(time) or 0) - now -- more than a little: no name of ours
    if ahead >= 0 and ahead <= 1000 then place = ahead * 1000 + digits + 1 end
  end
  for _ = 1, cost do
    place, err = add(log, place)
    if err then return err end
  end
  if log.gone > 0 then call('ZREMRANGEBYSCORE', log.key, '-inf', left(log)) end
  if log.newest < now - now % (log.length / 2) then expire(log) end
  if log.used == 0 then log.reset = log.length end
  log.used = log.used + cost
end

-- Moves a block of the future to now, for good.
local function restamp(key, own)
  local ends = tonumber(call('HGET', key, 'until_us'))
  if ends > 0 then ends = ends - own.ahead end
  local done = pcall('HSET', key, 'until_us', int(ends), 'at_us', int(now))
  if type(done) == 'table' then return done.err end
end

-- Counts denials as strikes. A block that begins with them is as long as what is returned. Where
-- nothing can be written there is no strike: what the windows say counts.
local function strike(key, asked, fitting)
  local numbers, identity = {}, string.match(asked, '^%d+ %d+ %d+ %d+ %d+ %d+ (.*)$')
  if not identity then return 0 end
  for number in string.gmatch(asked, '%d+') do numbers[#numbers + 1] = tonumber(number) end
  local count, borne, within, first, longest, forget = unpack(numbers, 1, 6)
  if not fitting then count = count + 1 end

  local known = pcall('HMGET', key, 'strikes', 'since_us', 'blocks', 'forget_at_us')
  if known.err then return nil, known.err end
  local strikes, since = tonumber(known[1]) or 0, math.min(tonumber(known[2]) or 0, now)
  local blocks, forget_at = tonumber(known[3]) or 0, tonumber(known[4]) or 0
  if now >= forget_at then strikes, blocks = 0, 0 end
  if strikes == 0 or now - since >= within then strikes, since = 0, now end
  strikes = strikes + count
  local length = 0
  if strikes > borne then
    length = math.min(first * 2 ^ blocks, longest)
    strikes, blocks = 0, blocks + 1
  end
  local lives = forget + length
  local done = pcall('HSET', key, 'strikes', int(strikes), 'since_us', int(since),
    'blocks', int(blocks), 'forget_at_us', int(now + lives))
  if type(done) == 'table' then return 0 end
  if length > 0 then
    call('HSET', key, 'until_us', int(now + length), 'at_us', int(now), 'by', 'penalty',
      'reason', '', 'identity', identity)
  end
  call('PEXPIRE', key, int(math.ceil(lives / 1000)))
  return length
end

local function admit(asked, own, penalty_key)
  local cost, rest, err = asked.cost, own.blocked, nil
  if MINUTE.newest > now then err = clamp(MINUTE) end
  if SECOND.newest > now then err = err or clamp(SECOND) end
  if own.ahead > 0 then err = err or restamp(penalty_key, own) end
  if err then return err end

  local fitting = fits(MINUTE, cost) and fits(SECOND, cost)
  local strikes = asked.strikes
  if rest == 0 and strikes ~= '' and not (fitting and sub(strikes, 1, 2) == '0 ') then
    rest, err = strike(penalty_key, strikes, fitting)
    if err then return err end
  end
  local allowed = fitting and rest == 0
  if allowed and cost > 0 then
    err = charge(MINUTE, cost) or charge(SECOND, cost)
    if err then return err end
  end
  return reply(allowed, MINUTE, SECOND, own.from, rest)
end

local requests, terms, replies = #KEYS / KEYS_EACH, {}, { now }
local function terms_of(place)
  local first = requests + (place - 1) * TERMS_EACH
  return {
    policy = ARGV[first + 1],
    minute_limit = tonumber(ARGV[first + 2]),
    second_limit = tonumber(ARGV[first + 3]),
    cost = tonumber(ARGV[first + 4]),
    enforced = ARGV[first + 5] == '1',
    strikes = ARGV[first + 6],
  }
end

for i = 0, requests - 1 do
  local minute_key, second_key = KEYS[i * KEYS_EACH + 1], KEYS[i * KEYS_EACH + 2]
  local override_key, penalty_key = KEYS[i * KEYS_EACH + 3], KEYS[i * KEYS_EACH + 4]
  local named = ARGV[i + 1]
  local asked = terms[named] or terms_of(named)
  terms[named] = asked

  local own, err = NOTHING, nil
  if call('EXISTS', override_key, penalty_key) > 0 then
    own, err = standing(override_key, penalty_key, asked.policy, asked.enforced)
  end
  err = err or read(SECOND, second_key, own.second or asked.second_limit, asked.cost)
    or read(MINUTE, minute_key, own.minute or asked.minute_limit, asked.cost, SECOND)
  replies[i + 2] = err or admit(asked, own, penalty_key)
end
return replies
