-- The gate of one job name for all processes: notifications/domain/breaker.py and pauses.py, in one
-- atomic step. A test drives both side by side; change both.
--
-- KEYS[1] breaker, KEYS[2] pause, KEYS[3..] one key for each recipient (admit) or outcome (report)
-- ARGV[1] admit | report | look
-- ARGV[2] now in ms; empty: Redis's own clock, so that no process with a wrong clock opens early
-- report: ARGV[3..] six for each outcome:
--         verdict, probe (1 | 0), generation, effect ('' | number | recipient), asked ms, code
--
-- Answer: {state, failures, generation, until, pause, changed_at, code, now,
--          pause until, pause length, pause step, ramping, allowance, granted_at, passed,
--          then for admit four for each recipient: allowed, probe, wait ms, reason
--          for report two for each change of the breaker: state before, state after}

-- Values of the Python constants of the same names.
local FAILURES_TO_OPEN = 5
local OPEN_FOR, STOPPED_FOR, PROBE_LEASE, PROBE_POLL = 60000, 600000, 120000, 5000
local FIRST_PAUSE, LONGEST_PAUSE, FORGET_AFTER = 5000, 600000, 600000
local RAMP_REFILL, RAMP_GROWTH, RAMP_MOST, RAMP_DONE, RAMP_POLL = 5000, 2, 32, 32, 1000
local RECIPIENT_BASE, LONGEST_STEP = 4, 4
-- Nobody sends by this job name for a week: what was known of it is worth nothing any more.
local BREAKER_TTL = 7 * 24 * 3600 * 1000

local now = tonumber(ARGV[2])
if now == nil then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function time_left(till, length)
  local left = till - now
  if left > 0 and left <= length then return left end
  return 0
end

local function read(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function text(number) return string.format('%.0f', number) end

-- ---- the breaker

local stored = read(KEYS[1])
local breaker = {
  state = stored['state'] or 'closed',
  failures = tonumber(stored['failures'] or 0),
  generation = tonumber(stored['generation'] or 0),
  till = tonumber(stored['until'] or 0),
  pause = tonumber(stored['pause'] or 0),
  changed_at = tonumber(stored['changed_at'] or 0),
  code = stored['code'] or ''
}
local breaker_changed = false
local changes = {}

local function breaker_waits()
  if breaker.state == 'closed' then return 0 end
  local left = time_left(breaker.till, breaker.pause)
  if breaker.state == 'half_open' then return math.min(left, PROBE_POLL) end
  return left
end

local function change(state, pause, failures, code)
  changes[#changes + 1] = breaker.state
  changes[#changes + 1] = state
  breaker = {
    state = state,
    failures = failures,
    generation = math.max(breaker.generation + 1, now),
    till = state == 'closed' and 0 or now + pause,
    pause = pause,
    changed_at = now,
    code = code
  }
  breaker_changed = true
end

local function settle(verdict, probe, generation, code)
  if generation ~= 0 and generation ~= breaker.generation then return end
  local bad = verdict == 'failure' or verdict == 'stopped'
  local pause = verdict == 'stopped' and STOPPED_FOR or OPEN_FOR
  if breaker.state == 'half_open' then
    if not probe then return end
    if bad then
      change('open', pause, breaker.failures, code)
    else
      change('closed', 0, 0, '')
    end
    return
  end
  if breaker.state == 'open' or verdict == 'neutral' then return end
  if verdict == 'success' then
    if breaker.failures > 0 then
      breaker.failures = 0
      breaker_changed = true
    end
    return
  end
  local failures = breaker.failures + 1
  if verdict == 'stopped' or failures >= FAILURES_TO_OPEN then
    change('open', pause, failures, code)
  else
    breaker.failures = failures
    breaker_changed = true
  end
end

-- ---- the pause of the job name

local function no_pause()
  return { till = 0, length = 0, step = 0, ramping = 0, allowance = 0, granted_at = 0, passed = 0 }
end

local kept = read(KEYS[2])
local pause = no_pause()
if kept['until'] ~= nil then
  for _, name in ipairs({ 'length', 'step', 'ramping', 'allowance', 'granted_at', 'passed' }) do
    pause[name] = tonumber(kept[name])
  end
  pause.till = tonumber(kept['until'])
end
local pause_changed = false

local function pause_waits()
  local left = time_left(pause.till, pause.length)
  if left > 0 then return left end
  local since = now - pause.granted_at
  local idle = since < 0 or since >= RAMP_REFILL
  if pause.ramping == 0 or pause.allowance > 0 or idle then return 0 end
  return RAMP_POLL
end

local function grant()
  if pause.ramping == 0 then return end
  pause.allowance = math.max(pause.allowance, 1) - 1
  pause.granted_at = now
  pause_changed = true
end

local function slow(asked)
  if now >= pause.till + FORGET_AFTER then pause = no_pause() end
  pause_changed = true
  if time_left(pause.till, pause.length) > 0 then
    pause.till = math.max(pause.till, now + asked)
    pause.length = math.max(pause.till - now, pause.length)
    return
  end
  local own = math.min(FIRST_PAUSE * 2 ^ math.min(pause.step, 10), LONGEST_PAUSE)
  local length = math.max(own, asked)
  pause = {
    till = now + length, length = length, step = pause.step + 1,
    ramping = 1, allowance = 1, granted_at = 0, passed = 0
  }
end

local function passed()
  if pause.ramping == 0 or time_left(pause.till, pause.length) > 0 then return end
  pause_changed = true
  pause.passed = pause.passed + 1
  if pause.passed >= RAMP_DONE then
    pause.ramping, pause.allowance, pause.passed = 0, 0, 0
  else
    pause.allowance = math.min(pause.allowance + RAMP_GROWTH, RAMP_MOST)
  end
end

-- ---- the pause of one recipient

local function read_recipient(key)
  local found = redis.call('HMGET', key, 'until', 'length', 'step')
  return tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or -1)
end

local function slow_recipient(key, asked)
  local till, length, step = read_recipient(key)
  if now >= till + FORGET_AFTER then till, length, step = 0, 0, -1 end
  if time_left(till, length) > 0 then
    till = math.max(till, now + asked)
    length = math.max(till - now, length)
  else
    step = math.min(step + 1, LONGEST_STEP)
    length = math.max(1000 * RECIPIENT_BASE ^ step, asked)
    till = now + length
  end
  redis.call('HSET', key, 'until', text(till), 'length', text(length), 'step', text(step))
  redis.call('PEXPIRE', key, text(length + FORGET_AFTER))
end

-- ---- what was asked for

local rest = {}

local function answer_one(allowed, probe, wait, reason)
  rest[#rest + 1] = allowed
  rest[#rest + 1] = probe
  rest[#rest + 1] = wait
  rest[#rest + 1] = reason
end

local function admit_one(key)
  local till, length = read_recipient(key)
  local own = time_left(till, length)
  if own > 0 then return answer_one(0, 0, own, 'recipient_slowed') end
  local shut = breaker_waits()
  if shut > 0 then return answer_one(0, 0, shut, 'breaker_open') end
  local slowed = pause_waits()
  if slowed > 0 then return answer_one(0, 0, slowed, 'slowed') end
  grant()
  if breaker.state == 'closed' then return answer_one(1, 0, 0, '') end
  change('half_open', PROBE_LEASE, breaker.failures, breaker.code)
  return answer_one(1, 1, 0, '')
end

if ARGV[1] == 'admit' then
  for i = 3, #KEYS do admit_one(KEYS[i]) end
elseif ARGV[1] == 'report' then
  for i = 3, #KEYS do
    local at = 3 + (i - 3) * 6
    local verdict, probe, generation = ARGV[at], ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
    local effect, asked, code = ARGV[at + 3], tonumber(ARGV[at + 4]), ARGV[at + 5]
    settle(verdict, probe, generation, code)
    if effect == 'number' then
      slow(asked)
    elseif effect == 'recipient' then
      slow_recipient(KEYS[i], asked)
    elseif verdict == 'success' or verdict == 'neutral' then
      passed()
    end
    if verdict == 'success' then redis.call('DEL', KEYS[i]) end
  end
  rest = changes
end

if breaker_changed then
  redis.call('HSET', KEYS[1], 'state', breaker.state, 'failures', text(breaker.failures),
    'generation', text(breaker.generation), 'until', text(breaker.till),
    'pause', text(breaker.pause), 'changed_at', text(breaker.changed_at), 'code', breaker.code)
  redis.call('PEXPIRE', KEYS[1], text(BREAKER_TTL))
end
if pause_changed then
  redis.call('HSET', KEYS[2], 'until', text(pause.till), 'length', text(pause.length),
    'step', text(pause.step), 'ramping', text(pause.ramping), 'allowance', text(pause.allowance),
    'granted_at', text(pause.granted_at), 'passed', text(pause.passed))
  redis.call('PEXPIRE', KEYS[2], text(pause.length + FORGET_AFTER))
end

local answer = {
  breaker.state, breaker.failures, breaker.generation, breaker.till, breaker.pause,
  breaker.changed_at, breaker.code, now,
  pause.till, pause.length, pause.step, pause.ramping, pause.allowance, pause.granted_at,
  pause.passed
}
for i = 1, #rest do answer[#answer + 1] = rest[i] end
return answer
