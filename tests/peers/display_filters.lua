-- For tshark: selects with every line of FILTER_IN as a display filter in one pass, and writes to FILTER_OUT a line of
-- frame numbers, or the error, for each. FILTER_STATE gets the number of the line that is being compiled.
local order, results, keep = {}, {}, {}
local state = io.open(os.getenv("FILTER_STATE"), "w")
for line in io.lines(os.getenv("FILTER_IN")) do
  local n = #order + 1
  state:write(n, "\n") state:flush()
  local numbers = {}
  order[n], results[n] = line, numbers
  local ok, made = pcall(Listener.new, "frame", line)
  if ok then
    keep[n] = made
    made.packet = function(pinfo) numbers[#numbers + 1] = pinfo.number end
  else
    numbers[1] = "error " .. tostring(made):gsub("[\r\n]+", " "):gsub("^.- is invalid %- ", "")
  end
end
local last = Listener.new("frame")
function last.draw()
  local out = io.open(os.getenv("FILTER_OUT"), "w")
  for n = 1, #order do out:write(table.concat(results[n], " "), "\n") end
  out:close()
end
