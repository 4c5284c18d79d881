--[[
override.lua: give an identity limits of its own, or take them back.

Model
  One hash for each identity, with six fields for each override; P is the policy that it is for,
  or "*" for all: P:minute P:second P:until_us (0: no end) P:at_us P:by P:reason. And one field,
  identity, since a long one is cut in the name of the key.

Keys: 1
  KEYS[1]  override      hash

Arguments: 8
  ARGV[1]  policy        P
  ARGV[2]  minute        units in any 60 s; empty takes the override back
  ARGV[3]  second        units in any second
  ARGV[4]  lasting       us, 0: no end
  ARGV[5]  by            who, any text
  ARGV[6]  reason        why, any text
  ARGV[7]  identity      whose
  ARGV[8]  channel       where a change is published, for workers that know of denials

Returns: the time in us since 1970, when the override ends (0: no end), and whether there was one

Clock
  TIME, read once. Nobody sends a time.

Expiry
  The hash lives as long as the longest of its overrides. Those that have ended are dropped here,
  and read as absent by admit.lua.

Commands: TIME HGETALL HSET HDEL PEXPIRE PERSIST DEL PUBLISH
Works on Redis 6.2 and later, and on Valkey.
]]
local override, policy, minute, second = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local lasting, by, reason, identity = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]
local channel = ARGV[8]

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function int(number)
  return string.format('%.0f', number)
end

local function drop(scope)
  for _, field in ipairs({ 'minute', 'second', 'until_us', 'at_us', 'by', 'reason' }) do
    redis.call('HDEL', override, string.format('%s:%s', scope, field))
  end
end

-- When each override ends, by its policy.
local function ends()
  local found, fields = {}, redis.call('HGETALL', override)
  for i = 1, #fields, 2 do
    local scope = string.match(fields[i], '^(.*):until_us$')
    if scope then found[scope] = tonumber(fields[i + 1]) end
  end
  return found
end

local before = ends()[policy]
local there = before and (before == 0 or now < before)
local until_us = lasting == 0 and 0 or now + lasting
if minute == '' then
  drop(policy)
else
  redis.call('HSET', override,
    string.format('%s:minute', policy), minute, string.format('%s:second', policy), second,
    string.format('%s:until_us', policy), int(until_us), string.format('%s:at_us', policy),
    int(now), string.format('%s:by', policy), by, string.format('%s:reason', policy), reason,
    'identity', identity)
end

local last, endless = 0, false
for scope, at in pairs(ends()) do
  if at == 0 then
    endless = true
  elseif at <= now then
    drop(scope)
  else
    last = math.max(last, at)
  end
end
if endless then
  redis.call('PERSIST', override)
elseif last > now then
  redis.call('PEXPIRE', override, int(math.ceil((last - now) / 1000)))
else
  redis.call('DEL', override)
end
redis.pcall('PUBLISH', channel, '') -- without the right to it the change stands all the same
return { now, until_us, there and 1 or 0 }
