--[[
peek.lua: say whether and when admit.lua would pass, with the numbers as they are before any charge.

Model
  As in admit.lua. Nothing is written, so the script may run where only reads are allowed.

Keys: 4 for each request, in one hash slot; any number of requests
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second
  KEYS[3]  override      hash, as in admit.lua
  KEYS[4]  penalty       hash, as in admit.lua

Arguments: 6, the first for each request, then the others for each of the terms that these name,
which requests may share; checked by the caller
  ARGV[1]  terms         which, counted from 1
  ARGV[2]  policy        the name by which an override is found
  ARGV[3]  minute_limit  units in any 60 s
  ARGV[4]  second_limit  units in any second
  ARGV[5]  cost          units asked for, 0 to 1000
  ARGV[6]  enforced      1: a block holds; 0: it does not

Returns: the time of the decision in us since 1970, then one reply for each request
  either 11 integers, counts in units and times in us:
  [1]  allowed           1 or 0
  [2]  minute_limit      the limit in force
  [3]  minute_used       units that count now
  [4]  minute_reset      until the oldest unit leaves, 0 if there is none
  [5]  minute_wait       until the cost fits; the whole window if it is above the limit
  [6]  second_limit      the same for the second window
  [7]  second_used
  [8]  second_reset
  [9]  second_wait
  [10]  limits_from      0 the arguments, 1 an override for the policy, 2 one for all
  [11]  blocked          until the block ends, a day if it does not, 0 if there is none
  or the text of an error (WRONGTYPE, ...).

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now reads as now.

Commands: TIME EXISTS HMGET ZCARD ZCOUNT ZRANGE ZSCORE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, TERMS_EACH = 4, 5
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

local requests, terms, replies = #KEYS / KEYS_EACH, {}, { now }

local function terms_of(place)
  local first = requests + (place - 1) * TERMS_EACH
  return {
    policy = ARGV[first + 1],
    minute_limit = tonumber(ARGV[first + 2]),
    second_limit = tonumber(ARGV[first + 3]),
    cost = tonumber(ARGV[first + 4]),
    enforced = ARGV[first + 5] == '1',
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
  if err then
    replies[i + 2] = err
  else
    local allowed = fits(MINUTE, asked.cost) and fits(SECOND, asked.cost) and own.blocked == 0
    replies[i + 2] = reply(allowed, MINUTE, SECOND, own.from, own.blocked)
  end
end
return replies
