--[[
peek.lua: say whether and when admit.lua would pass, with the numbers as they are before any charge.

Model
  As in admit.lua. Nothing is written, so the script may run where only reads are allowed.

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
  [3]  minute_used       units that count now
  [4]  minute_reset      until the oldest unit leaves, 0 if there is none
  [5]  minute_wait       until the cost fits; the whole window if it is above the limit
  [6]  second_limit      the same for the second window
  [7]  second_used
  [8]  second_reset
  [9]  second_wait
  or the text of an error (WRONGTYPE, ...).

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now reads as now.

Commands: TIME ZCARD ZCOUNT ZRANGE
Works on Redis 6.2 and later, and on Valkey.
]]
local KEYS_EACH, ARGS_EACH = 2, 3
local MINUTE_US, SECOND_US = 60000000, 1000000

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

local function reply(allowed, minute, second)
  return {
    allowed and 1 or 0,
    minute.limit, minute.used, minute.reset, minute.wait,
    second.limit, second.used, second.reset, second.wait,
  }
end
-- shared with the other script: end

local replies = { now }
for i = 0, #KEYS / KEYS_EACH - 1 do
  local minute_key, second_key = KEYS[i * KEYS_EACH + 1], KEYS[i * KEYS_EACH + 2]
  local minute_limit = tonumber(ARGV[i * ARGS_EACH + 1])
  local second_limit = tonumber(ARGV[i * ARGS_EACH + 2])
  local cost = tonumber(ARGV[i * ARGS_EACH + 3])

  local minute, minute_err = read(minute_key, MINUTE_US, minute_limit, cost)
  local second, second_err = read(second_key, SECOND_US, second_limit, cost)
  replies[#replies + 1] = minute_err or second_err
    or reply(fits(minute, cost) and fits(second, cost), minute, second)
end
return replies
