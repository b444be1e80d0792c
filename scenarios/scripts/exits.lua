-- A panel of one's own: how many exits each stretch of the run took, which reasons there were, and what the last one was.
--   ./trapeze debug tiny-os --mode trap-and-emulate --script scenarios/scripts/exits.lua
-- Run on with F5, F7 or F11, and look at the panel "Exits over time".
local history, last_position, last_exits = {}, position(), exits()

panel{title = "Exits over time", draw = function(p)
    if position() ~= last_position then
        if position() < last_position then history = {} end -- somebody went back
        history[#history + 1] = exits() - last_exits
        if #history > 100 then table.remove(history, 1) end
        last_position, last_exits = position(), exits()
    end
    p:text("step " .. position() .. ", " .. exits() .. " exits, " .. count("instructions") .. " instructions of the guest")
    p:bars("exits since the panel was drawn before", history)
    local rows = {}
    for i, reason in ipairs(exit_counts()) do rows[i] = {reason.reason, reason.count, string.format("%.1f%%", 100 * reason.count / exits())} end
    p:table({"why", "exits", "share"}, rows)
    local exit = last_exit()
    if exit then p:text("last: " .. exit.instruction .. " - " .. exit.sentence) end
end}
