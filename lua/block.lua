--[[
block.lua: block an identity by hand, or end its block.

Model
  The hash of admit.lua's penalties. Strikes and past blocks stay as they are. To end a block the
  hash is deleted, and they are forgotten.

Keys: 1
  KEYS[1]  penalty       hash

Arguments: 5
  ARGV[1]  lasting       us, 0: no end; empty ends the block
  ARGV[2]  by            who, any text
  ARGV[3]  reason        why, any text
  ARGV[4]  identity      who is blocked
  ARGV[5]  channel       where a change is published, for workers that know of denials

Returns: the time in us since 1970, when the block ends (0: no end), and whether there was
a hash

Clock
  TIME, read once. Nobody sends a time.

Expiry
  The hash lives as long as the block, or until strikes are forgotten, whichever is later.

Commands: TIME EXISTS HGET HSET PEXPIRE PERSIST DEL PUBLISH
Works on Redis 6.2 and later, and on Valkey.
]]
local penalty, lasting = KEYS[1], tonumber(ARGV[1])
local by, reason, identity, channel = ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function int(number)
  return string.format('%.0f', number)
end

local there = redis.call('EXISTS', penalty)
local until_us = 0
if not lasting then
  redis.call('DEL', penalty)
else
  if lasting > 0 then until_us = now + lasting end
  redis.call('HSET', penalty, 'until_us', int(until_us), 'at_us', int(now), 'by', by,
    'reason', reason, 'identity', identity)
  if lasting == 0 then
    redis.call('PERSIST', penalty)
  else
    local forget_at = tonumber(redis.call('HGET', penalty, 'forget_at_us') or 0) or 0
    local lives = math.max(lasting, forget_at - now)
    redis.call('PEXPIRE', penalty, int(math.ceil(lives / 1000)))
  end
end
redis.pcall('PUBLISH', channel, '') -- without the right to it the change stands all the same
return { now, until_us, there }
