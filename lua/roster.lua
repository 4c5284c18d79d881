--[[
roster.lua: a worker says that it lives, and learns how many do.

Model
  One sorted set: a member for each worker, scored by the time of its last call in ms. A worker
  that has not called for 5 s is gone. A limit is divided among those that are left while each
  decides alone.

Keys: 1
  KEYS[1]  roster        sorted set

Arguments: 2
  ARGV[1]  worker        a name that no other worker has
  ARGV[2]  leaving       1 takes the worker off, 0 signs it on

Returns: the number of workers that live

Clock
  TIME, read once. Nobody sends a time. A worker stamped later than now (the clock stepped back)
  stamps itself anew with its next call.

Commands: TIME ZADD ZREM ZREMRANGEBYSCORE ZCARD PEXPIRE
Works on Redis 6.2 and later, and on Valkey.
]]
local LIFE_MS = 5000

local roster, worker, leaving = KEYS[1], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

if leaving == '1' then
  redis.call('ZREM', roster, worker)
else
  redis.call('ZADD', roster, string.format('%.0f', now), worker)
  redis.call('PEXPIRE', roster, 2 * LIFE_MS)
end
redis.call('ZREMRANGEBYSCORE', roster, '-inf', string.format('%.0f', now - LIFE_MS))
return redis.call('ZCARD', roster)
