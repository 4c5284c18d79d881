--[[
reset.lua: empty both windows of an identity under one policy.

Keys: 2, in one hash slot
  KEYS[1]  minute        as in admit.lua
  KEYS[2]  second

Arguments: 1
  ARGV[1]  channel       where a change is published, for workers that know of denials

Returns: how many of the two were there

Clock
  None is read.

Commands: DEL PUBLISH
Works on Redis 6.2 and later, and on Valkey.
]]
local minute, second, channel = KEYS[1], KEYS[2], ARGV[1]

local there = redis.call('DEL', minute, second)
redis.pcall('PUBLISH', channel, '') -- without the right to it the change stands all the same
return there
