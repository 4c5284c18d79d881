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

Keys: 4 for each request, in one hash slot: the windows of all requests, then what else they have
  KEYS[1]  minute        sorted set of the last 60 s
  KEYS[2]  second        sorted set of the last second
  KEYS[3]  override      hash, for a policy P or "*": P:minute P:second P:until_us (0: no end)
  KEYS[4]  penalty       hash: strikes since_us blocks forget_at_us, and with a block until_us
                         (0: no end) at_us by reason identity

Arguments: 7 for each group of requests that follow each other with equal terms; checked before
  ARGV[1]  requests      how many there are in the group
  ARGV[2]  policy        the name by which an override is found
  ARGV[3]  minute        units that its limits allow for in any 60 s
  ARGV[4]  second        the same for any second
  ARGV[5]  cost          units asked for, 0 to 1000
  ARGV[6]  enforced      1: a block holds and a denial may be a strike; 0: neither
  ARGV[7]  strikes       empty: count none; else six integers: denials that were not reported yet,
                         then strikes that are borne, and the span, the first block, the longest
                         block and the time until all is forgotten, in us; then who it is

Returns: the time of the decision in us since 1970, then a text for each request
  either 11 integers with blanks between them, counts in units and times in us:
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
  or an error (WRONGTYPE, OOM, READONLY, ...): this request was not recorded, the others stand.

Members
  The time of the admission in us and three digits that count the units of one microsecond, as one
  decimal integer: Redis stores it as 64 bits. A member that is taken yields the next integer.
  Times are read from members, since Redis prints a score as a floating-point number, the slowest
  thing here. One of another length, or that names the future, counts by its score.
  Digits are joined as text: Lua's own conversion prints 14 of them and would merge members.

Clock
  TIME, read once. Nobody sends a time. An entry stamped later than now (the clock stepped back)
  is stamped now, for good: the one case in which a denial writes to a window. So is a block that
  begins later than now, with its end.

Expiry
  A key lives two windows from the first admission in a half window, so longer than any unit in it
  counts, and the expiry need not be renewed by every admission. Strikes live until forgotten.

Order of writes
  ZADD or HSET comes first: Redis checks its memory limit only before the first write of a script.

Commands: TIME EXISTS HGET HMGET HSET ZADD ZCARD ZCOUNT ZRANGE ZRANGEBYSCORE ZREM ZREMRANGEBYSCORE
  ZSCORE PEXPIRE
Works on Redis 6.2 and later, and on Valkey, where they are of 64 bits.
]]
local KEYS_EACH, TERMS_EACH = 4, 7
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
local MINUTE_LIVES_MS, SECOND_LIVES_MS = '120000', '2000'
local minute_half = format('%d', now - now % (MINUTE_US / 2))
local second_half = format('%d', now - now % (SECOND_US / 2))
local first_member = stamp .. '000'

-- Adds units, each by the first free member from a place in this microsecond on: the error if there
-- is one, and the next place. Only the first write of a call can be refused.
local function add(key, units, place)
  while units > 0 do
    local member = first_member
    if place > 0 then
      member = format('%d%03d', now + math.floor(place / 1000), place % 1000)
    end
    local added = pcall('ZADD', key, 'NX', stamp, member)
    if added ~= 0 and added ~= 1 then return added.err end
    units, place = units - added, place + 1
  end
  return nil, place
end

-- As `seldom`, of what writes.
local function seldom_written(now, stamp, add)
  local call, pcall = redis.call, redis.pcall
  local function int(number) return string.format('%d', number) end

  -- Stamps what lies in the future with now: the error if there is one, and the next place. The
  -- last member may also be of this time, by its score, after a thousand units in a microsecond.
  local function clamp(minute_key, second_key, last)
    local next_place = 0
    for _, key in ipairs({ minute_key, second_key }) do
      local lives_ms = key == minute_key and MINUTE_LIVES_MS or SECOND_LIVES_MS
      local future, place, err = call('ZRANGEBYSCORE', key, '(' .. stamp, '+inf'), 0, nil
      for _, member in ipairs(future) do
        err, place = add(key, 1, place)
        if err then return err end
        call('ZREM', key, member)
      end
      if place > 0 then call('PEXPIRE', key, lives_ms) end
      next_place = math.max(next_place, place)
    end
    local time, digits = string.match(last, '^(%d+)(%d%d%d)$')
    local ahead = (tonumber(time) or 0) - now -- more than a little: no name of ours
    if next_place > 0 or ahead <= 0 or ahead > 1000 then return nil, next_place end
    return nil, ahead * 1000 + digits + 1
  end

  -- Moves a block of the future to now, for good.
  local function restamp(key, ahead)
    local ends = tonumber(call('HGET', key, 'until_us'))
    if ends > 0 then ends = ends - ahead end
    local done = pcall('HSET', key, 'until_us', int(ends), 'at_us', int(now))
    if type(done) == 'table' then return done.err end
  end

  -- Counts denials as strikes. A block that begins with them is as long as what is returned. Where
  -- nothing can be written there is no strike: what the windows say counts.
  local function strike(key, asked, fits)
    local numbers, identity = {}, string.match(asked, '^%d+ %d+ %d+ %d+ %d+ %d+ (.*)$')
    if not identity then return 0 end
    for number in string.gmatch(asked, '%d+') do numbers[#numbers + 1] = tonumber(number) end
    local count, borne, within, first, longest, forget = unpack(numbers, 1, 6)
    if not fits then count = count + 1 end

    local known = pcall('HMGET', key, 'strikes', 'since_us', 'blocks', 'forget_at_us')
    if known.err then return nil, known.err end
    local strikes, began = tonumber(known[1]) or 0, math.min(tonumber(known[2]) or 0, now)
    local blocks, forget_at = tonumber(known[3]) or 0, tonumber(known[4]) or 0
    if now >= forget_at then strikes, blocks = 0, 0 end
    if strikes == 0 or now - began >= within then strikes, began = 0, now end
    strikes = strikes + count
    local length = 0
    if strikes > borne then
      length = math.min(first * 2 ^ blocks, longest)
      strikes, blocks = 0, blocks + 1
    end
    local lives = forget + length
    local done = pcall('HSET', key, 'strikes', int(strikes), 'since_us', int(began),
      'blocks', int(blocks), 'forget_at_us', int(now + lives))
    if type(done) == 'table' then return 0 end
    if length > 0 then
      call('HSET', key, 'until_us', int(now + length), 'at_us', int(now), 'by', 'penalty',
        'reason', '', 'identity', identity)
    end
    call('PEXPIRE', key, int(math.ceil(lives / 1000)))
    return length
  end

  return { clamp = clamp, restamp = restamp, strike = strike }
end

-- Most often none of them has an override or a penalty, which one command tells.
local requests, replies, begins, terms = #KEYS / KEYS_EACH, { now }, 0, 0
local some_stand_alone = call('EXISTS', unpack(KEYS, 2 * requests + 1)) > 0
while begins < requests do
  local ends = begins + ARGV[terms + 1]
  local policy = ARGV[terms + 2]
  local minute = tonumber(ARGV[terms + 3])
  local second = tonumber(ARGV[terms + 4])
  local cost = tonumber(ARGV[terms + 5])
  local enforced = ARGV[terms + 6] == '1'
  local strikes = ARGV[terms + 7]
  local admitted = format(ADMITTED, minute, second, 0)
  -- No function around it: what a function uses from outside would be copied in every call.
  for i = begins, ends - 1 do
    local minute_key, second_key = KEYS[2 * i + 1], KEYS[2 * i + 2]
    local override_key, penalty_key = KEYS[2 * (requests + i) + 1], KEYS[2 * (requests + i) + 2]
    local err, blocked, ahead = nil, 0, 0
    local limits_from, minute_limit, second_limit = 0, minute, second
    if some_stand_alone and call('EXISTS', override_key, penalty_key) > 0 then
      err, limits_from, minute_limit, second_limit, blocked, ahead =
        seldom(now).standing(override_key, penalty_key, policy, enforced)
      minute_limit, second_limit = minute_limit or minute, second_limit or second
    end
    local second_used, second_wait, second_reset, second_gone, last, second_err =
      read(second_key, SECOND_HEAD, SECOND_ENDS, SECOND_US, second_since, second_limit, cost)
    local minute_used, minute_wait, minute_reset, minute_gone, minute_last, minute_err =
      read(minute_key, MINUTE_HEAD, MINUTE_ENDS, MINUTE_US, minute_since, minute_limit, cost)
    err = err or second_err or minute_err
    -- A unit is in both logs, so that they end with the same member.
    if last == '' then last = minute_last end
    if not last then last = not err and call('ZRANGE', minute_key, '-1', '-1')[1] or '' end

    local place, future = 0, last > latest or #last > DIGITS
    if future and not err then
      err, place = seldom_written(now, stamp, add).clamp(minute_key, second_key, last)
    elseif last > stamp then
      place = (string.match(last, '%d%d%d$') or -1) + 1
    end
    if ahead and ahead > 0 and not err then
      err = seldom_written(now, stamp, add).restamp(penalty_key, ahead)
    end
    local fits = minute_used + cost <= minute_limit and second_used + cost <= second_limit
    if strikes ~= '' and blocked == 0 and not (fits and sub(strikes, 1, 2) == '0 ') and not err then
      blocked, err = seldom_written(now, stamp, add).strike(penalty_key, strikes, fits)
    end
    local allowed = fits and blocked == 0
    if allowed and not err then
      err = add(minute_key, cost, place) or add(second_key, cost, place)
    end
    if err then
      replies[i + 2] = err
    elseif not allowed then
      replies[i + 2] = format(DENIED, minute_limit, minute_used, minute_reset, minute_wait,
        second_limit, second_used, second_reset, second_wait, limits_from, blocked)
    else
      if cost > 0 then
        if minute_gone > 0 then
          call('ZREMRANGEBYSCORE', minute_key, '-inf', '(' .. minute_since)
        end
        if second_gone > 0 then
          call('ZREMRANGEBYSCORE', second_key, '-inf', '(' .. second_since)
        end
        if minute_used + minute_gone == 0 or last < minute_half or future then
          call('PEXPIRE', minute_key, MINUTE_LIVES_MS)
        end
        if second_used + second_gone == 0 or last < second_half or future then
          call('PEXPIRE', second_key, SECOND_LIVES_MS)
        end
        if minute_used == 0 then minute_reset = MINUTE_US end
        if second_used == 0 then second_reset = SECOND_US end
        minute_used, second_used = minute_used + cost, second_used + cost
      end
      local says = admitted
      if limits_from > 0 then says = format(ADMITTED, minute_limit, second_limit, limits_from) end
      replies[i + 2] = format(says, minute_used, minute_reset, second_used, second_reset)
    end
  end
  begins, terms = ends, terms + TERMS_EACH
end
return replies
