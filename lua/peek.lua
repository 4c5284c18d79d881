--[[
peek.lua: say whether and when admit.lua would pass, with the numbers as they are before any charge.

Model
  As in admit.lua. Nothing is written, so the script may run where only reads are allowed.

Keys: 4 for each request, in one hash slot: the windows of all requests, then what else they have
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second
  KEYS[3]  override      hash, as in admit.lua
  KEYS[4]  penalty       hash, as in admit.lua

Arguments: 6 for each group of requests that follow each other with equal terms; checked before
  ARGV[1]  requests      how many there are in the group
  ARGV[2]  policy        the name by which an override is found
  ARGV[3]  minute        units that its limits allow for in any 60 s
  ARGV[4]  second        the same for any second
  ARGV[5]  cost          units asked for, 0 to 1000
  ARGV[6]  enforced      1: a block holds; 0: it does not

Returns: the time of the decision in us since 1970, then a text for each request
  either 11 integers with blanks between them, counts in units and times in us:
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
  or an error (WRONGTYPE, ...).

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now reads as now.

Commands: TIME EXISTS HMGET ZCARD ZCOUNT ZRANGE ZSCORE
Works on Redis 6.2 and later, and on Valkey, where they are of 64 bits.
]]
local KEYS_EACH, TERMS_EACH = 4, 6
local MINUTE_US, SECOND_US = 60000000, 1000000
local time = redis.call('TIME')

-- shared with the other script: begin
-- What few requests need is built where one does: a function that is built costs every call.
local function seldom(now)
  local call, pcall, ENDLESS_US = redis.call, redis.pcall, 86400000000

  -- Until the entry at a place leaves, 0 if there is none. One of the future reads as now.
  local function leaves(key, place, length)
    local member = call('ZRANGE', key, place, place)[1]
    return member and math.min(tonumber(call('ZSCORE', key, member)), now) - now + length or 0
  end

  -- What `read` returns but for the wait, by scores.
  local function survey(key, length, since)
    local gone, last = call('ZCOUNT', key, '-inf', '(' .. since), call('ZRANGE', key, '-1', '-1')[1]
    return call('ZCARD', key) - gone, leaves(key, gone, length), gone, last
  end

  -- The override that holds: where it comes from, and its limits; 0 where none does.
  local function override(key, policy)
    for from, scope in ipairs({ policy, '*' }) do
      local held = pcall('HMGET', key, string.format('%s:minute', scope),
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
  local function block(key)
    local held = pcall('HMGET', key, 'until_us', 'at_us')
    if held.err then return nil, held.err end
    if not held[1] then return 0, 0 end
    local ends, began = tonumber(held[1]), tonumber(held[2])
    if not (ends and began) then return nil, 'BADVALUE in a penalty' end
    local ahead = math.max(began - now, 0)
    if ends == 0 then return ENDLESS_US, ahead end
    return math.max(ends - ahead - now, 0), ahead
  end

  -- What holds for an identity alone: the error if there is one, where its limits come from, these,
  -- the rest of its block, and by how much that lies in the future.
  local function standing(override_key, penalty_key, policy, enforced)
    local from, minute, second = override(override_key, policy)
    if not from then return minute end
    local rest, ahead = 0, 0
    if enforced then rest, ahead = block(penalty_key) end
    if not rest then return ahead end
    return nil, from, minute, second, rest, ahead
  end

  return { leaves = leaves, survey = survey, standing = standing }
end

local call, pcall, format, sub = redis.call, redis.pcall, string.format, string.sub
local stamp = time[1] .. format('%06d', time[2])
local now = tonumber(stamp)
-- Members are compared with times as text, which orders numbers of as many digits. Less than
-- `since`: it has left its window. More than `latest`, or longer: it names the future.
local minute_since = format('%d', now - MINUTE_US + 1)
local second_since = format('%d', now - SECOND_US + 1)
local latest = stamp .. '999'
local DIGITS = #latest
-- So many entries of a log are read at once: all of most seconds. And the place of the last one.
local MINUTE_HEAD, SECOND_HEAD, MINUTE_ENDS, SECOND_ENDS = 3, 8, '2', '7'

-- A log as it stands: units that count, how long the cost has to wait (0: it fits), until the
-- oldest unit leaves, units that have left, the last member ('' if there is none, nil if it was
-- not read), and the error if there is one. An entry of the future reads as now.
local function read(key, head, head_ends, length, since, limit, cost)
  local entries = pcall('ZRANGE', key, '0', head_ends)
  if entries.err then return 0, 0, 0, 0, '', entries.err end
  local size, gone, oldest = #entries, 0, entries[1]
  local last = entries[size] or ''
  if size == head then
    size = call('ZCARD', key)
    if size > head then last = nil end
  end
  while oldest and oldest < since and #oldest == DIGITS do
    gone = gone + 1
    oldest = entries[gone + 1]
  end
  local used, reset, wait = size - gone, 0, 0
  if used > 0 then
    reset = (oldest and tonumber(sub(oldest, 1, -4)) or 0) - now + length
    if not (reset > 0 and reset <= length) then -- more have left, or it is none of our names
      used, reset, gone, last = seldom(now).survey(key, length, since)
    end
  end
  local over = used + cost - limit
  if cost > limit then
    wait = length
  elseif over > 0 then
    wait = over == 1 and reset or seldom(now).leaves(key, gone + over - 1, length)
  end
  return used, wait, reset, gone, last
end

-- Replies; the one to an admission in two steps, since many have the same limits.
local ADMITTED = '1 %d %%d %%d 0 %d %%d %%d 0 %d 0'
local DENIED = '0 %d %d %d %d %d %d %d %d %d %d'
-- shared with the other script: end

local requests, replies, begins, terms = #KEYS / KEYS_EACH, { now }, 0, 0
while begins < requests do
  local ends = begins + ARGV[terms + 1]
  local policy = ARGV[terms + 2]
  local minute = tonumber(ARGV[terms + 3])
  local second = tonumber(ARGV[terms + 4])
  local cost = tonumber(ARGV[terms + 5])
  local enforced = ARGV[terms + 6] == '1'
  for i = begins, ends - 1 do
    local minute_key, second_key = KEYS[2 * i + 1], KEYS[2 * i + 2]
    local override_key, penalty_key = KEYS[2 * (requests + i) + 1], KEYS[2 * (requests + i) + 2]
    local err, limits_from, minute_limit, second_limit, blocked = nil, 0, minute, second, 0
    if call('EXISTS', override_key, penalty_key) > 0 then
      err, limits_from, minute_limit, second_limit, blocked =
        seldom(now).standing(override_key, penalty_key, policy, enforced)
      minute_limit, second_limit = minute_limit or minute, second_limit or second
    end
    local second_used, second_wait, second_reset, _, _, second_err =
      read(second_key, SECOND_HEAD, SECOND_ENDS, SECOND_US, second_since, second_limit, cost)
    local minute_used, minute_wait, minute_reset, _, _, minute_err =
      read(minute_key, MINUTE_HEAD, MINUTE_ENDS, MINUTE_US, minute_since, minute_limit, cost)
    err = err or second_err or minute_err
    local fits = minute_used + cost <= minute_limit and second_used + cost <= second_limit

    if err then
      replies[i + 2] = err
    elseif not fits or blocked > 0 then
      replies[i + 2] = format(DENIED, minute_limit, minute_used, minute_reset, minute_wait,
        second_limit, second_used, second_reset, second_wait, limits_from, blocked)
    else
      local says = format(ADMITTED, minute_limit, second_limit, limits_from)
      replies[i + 2] = format(says, minute_used, minute_reset, second_used, second_reset)
    end
  end
  begins, terms = ends, terms + TERMS_EACH
end
return replies
