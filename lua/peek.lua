--[[
peek.lua: say whether and when admit.lua would pass, with the numbers as they are before any charge.

Model
  As in admit.lua. Nothing is written, so the script may run where only reads are allowed.

Keys: 4 for each request, in one hash slot; any number of requests
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second
  KEYS[3]  override      hash, as in admit.lua
  KEYS[4]  penalty       hash, as in admit.lua

Arguments: 5 for each request, checked by the caller
  ARGV[1]  policy        the name by which an override is found
  ARGV[2]  minute_limit  units in any 60 s
  ARGV[3]  second_limit  units in any second
  ARGV[4]  cost          units asked for, 0 to 1000
  ARGV[5]  enforced      1: a block holds; 0: it does not

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

Commands: TIME EXISTS HMGET ZCARD ZCOUNT ZRANGE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, ARGS_EACH = 4, 5
local MINUTE_US, SECOND_US = 60000000, 1000000
local ENDLESS_US = 86400000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

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

local replies = { now }
for i = 0, #KEYS / KEYS_EACH - 1 do
  local minute_key, second_key = KEYS[i * KEYS_EACH + 1], KEYS[i * KEYS_EACH + 2]
  local override_key, penalty_key = KEYS[i * KEYS_EACH + 3], KEYS[i * KEYS_EACH + 4]
  local policy = ARGV[i * ARGS_EACH + 1]
  local minute_limit = tonumber(ARGV[i * ARGS_EACH + 2])
  local second_limit = tonumber(ARGV[i * ARGS_EACH + 3])
  local cost = tonumber(ARGV[i * ARGS_EACH + 4])
  local enforced = ARGV[i * ARGS_EACH + 5] == '1'

  local own, err = standing(override_key, penalty_key, policy, enforced)
  local minute, second
  if own then
    minute, err = read(minute_key, MINUTE_US, own.minute or minute_limit, cost)
  end
  if minute then
    second, err = read(second_key, SECOND_US, own.second or second_limit, cost)
  end
  if err then
    replies[#replies + 1] = err
  else
    local allowed = fits(minute, cost) and fits(second, cost) and own.blocked == 0
    replies[#replies + 1] = reply(allowed, minute, second, own.from, own.blocked)
  end
end
return replies
