-- A Wireshark dissector of improto on TCP, in all four codecs.  For Wireshark 4.
--
-- Generated from the project's message table by `improto_spec.render.dissector`: change `improto.lua.in` there.
--
--     tshark -X lua_script:improto.lua -r capture.pcapng -Y improto
--
-- or put the file into the folder of personal Lua plugins.  For another port than 6666 use Decode As, and for
-- a capture that begins amid a conversation set the preference `improto.codec`.
--
-- To be read from the end upwards.  The dissector finds out the codec of the stream.  A *framer* cuts a payload
-- out of its bytes.  A *reader* makes *nodes* of the payload: tables with the range of their bytes and one of
-- `text`, `number` (an integer, in decimal), `list`, `map` (keys and values in turn) or `other`.  An *arranger*
-- puts the nodes into the order of the command's fields, and each field is shown by its kind.
--
-- Nothing raises an error, whatever the bytes are: what can fail returns nil and the reason.  Where it is
-- simpler, this is laxer than a receiver has to be, and nowhere stricter: what it calls malformed is malformed.
--
-- A receiver closes after bytes that it cannot frame.  Here the next segment is looked at afresh, since a
-- capture may have begun in the middle of a message.

local PORT = 6666 -- CONN-3
local MAX_COMMAND = 20 -- CODEC-4
local DEPTH = 4 -- LIMIT-17
local LIMITS = {client = 65536, server = 16777216} -- LIMIT-2, LIMIT-20

-- Wireshark gives up at a million items in the tree of a packet, and a node takes a hundred bytes.
local MAX_SHOWN = 500000
local MAX_NODES = 1000000

-- The commands in the order of the specification.  Of each field: its name and its kind.
local COMMANDS = {
    {name = "REGISTER", from = "client", {name = "username", kind = "name"}, {name = "status", kind = "status"}},
    {name = "ONLINE_USERS", from = "server", {name = "users", kind = "roster"}},
    {name = "STATUS", from = "client", {name = "status", kind = "status"}},
    {name = "GOODBYE", from = "client"},
    {name = "INVITE", from = "client", {name = "users", kind = "names"}},
    {name = "INVITATION", from = "server", {name = "conversation", kind = "conversation"}, {name = "source", kind = "name"}},
    {name = "LIST_CONVERSATIONS", from = "client"},
    {name = "CONVERSATIONS", from = "server", {name = "conversations", kind = "conversations"}},
    {name = "JOIN", from = "client", {name = "conversation", kind = "conversation"}},
    {name = "SEND_MESSAGE", from = "client", {name = "conversation", kind = "conversation"}, {name = "text", kind = "text"}},
    {name = "MESSAGE", from = "server", {name = "conversation", kind = "conversation"}, {name = "sender", kind = "name"}, {name = "text", kind = "text"}},
    {name = "LEAVE", from = "client", {name = "conversation", kind = "conversation"}},
    {name = "ERROR", from = "server", {name = "message", kind = "explanation"}},
}

-- What a map holds beside its keys, by the kind of the map.
local ITEMS = {roster = "status", conversations = "member"}

-- ---- What Wireshark has to know beforehand.

local improto = Proto("improto", "improto instant messaging")

local CODECS = {"ascii", "json", "msgpack", "pickle"}
improto.prefs.codec = Pref.enum("Codec", 0, "Set it for a capture that lacks the first bytes of the clients", {
    {1, "as the first bytes tell", 0},
    {2, "ascii", 1},
    {3, "json", 2},
    {4, "msgpack", 3},
    {5, "pickle", 4},
}, false) -- CODEC-17

local fields, command_by_name = {}, {}

local function declare(name)
    if not fields[name] then
        local title = name:match("[a-z]+$")
        fields[name] = ProtoField.string("improto." .. name, title:sub(1, 1):upper() .. title:sub(2))
    end
end

for _, name in ipairs({"codec", "direction", "command", "code"}) do
    declare(name)
end
for _, command in ipairs(COMMANDS) do
    command_by_name[command.name] = command
    for _, field in ipairs(command) do
        declare(field.name)
        if ITEMS[field.kind] then
            declare(field.name .. "." .. ITEMS[field.kind])
        end
    end
end
improto.fields = fields

local experts = {
    malformed = ProtoExpert.new(
        "improto.malformed", "Malformed message", expert.group.MALFORMED, expert.severity.ERROR
    ),
    unknown_command = ProtoExpert.new(
        "improto.unknown_command", "Unknown command", expert.group.PROTOCOL, expert.severity.WARN
    ),
    invalid = ProtoExpert.new("improto.invalid", "Invalid fields", expert.group.PROTOCOL, expert.severity.WARN),
    incomplete = ProtoExpert.new(
        "improto.incomplete", "Not all of the message is shown", expert.group.UNDECODED, expert.severity.NOTE
    ),
}
improto.experts = experts

-- ---- Bytes, texts and nodes.

local CR, SPACE, QUOTE = 13, 32, 34

local function unsigned(bytes, at, width, little)
    local value = 0
    for i = 0, width - 1 do
        value = value * 256 + bytes:byte(little and at + width - 1 - i or at + i)
    end
    return value
end

local function hex(text, at, digits)
    local found = text:sub(at, at + digits - 1)
    return #found == digits and not found:find("[^0-9A-Fa-f]") and tonumber(found, 16) or nil
end

local function utf8_of(code)
    local function tail(unit)
        return 0x80 + math.floor(code / unit) % 0x40
    end
    if code < 0x80 then
        return string.char(code)
    elseif code < 0x800 then
        return string.char(0xC0 + math.floor(code / 0x40), tail(1))
    elseif code < 0x10000 then
        return string.char(0xE0 + math.floor(code / 0x1000), tail(0x40), tail(1))
    end
    return string.char(0xF0 + math.floor(code / 0x40000), tail(0x1000), tail(0x40), tail(1))
end

local function is_high(unit)
    return unit >= 0xD800 and unit < 0xDC00
end

local function is_low(unit)
    return unit >= 0xDC00 and unit < 0xE000
end

local function pair(high, low)
    return utf8_of(0x10000 + (high - 0xD800) * 0x400 + low - 0xDC00)
end

-- The characters of UTF-8 beyond ASCII, without surrogates and longer forms than needed.
local CHARACTERS = {
    "^[\194-\223][\128-\191]()",
    "^\224[\160-\191][\128-\191]()",
    "^[\225-\236\238\239][\128-\191][\128-\191]()",
    "^\237[\128-\159][\128-\191]()",
    "^\240[\144-\191][\128-\191][\128-\191]()",
    "^[\241-\243][\128-\191][\128-\191][\128-\191]()",
    "^\244[\128-\143][\128-\191][\128-\191]()",
}

local function well_formed(text)
    local at = text:find("[\128-\255]")
    while at do
        local next
        for _, character in ipairs(CHARACTERS) do
            next = next or text:match(character, at)
        end
        if not next then
            return false
        end
        at = text:find("[\128-\255]", next)
    end
    return true
end

-- Replaces the escapes in `text`.  `read` is given the text and where it goes on behind a backslash, and gives
-- what stands there and where it ends, or nil.
local function unescape(text, read)
    local parts, at = {}, 1
    while true do
        local slash = text:find("\\", at, true)
        if not slash then
            parts[#parts + 1] = text:sub(at)
            return table.concat(parts)
        end
        local piece, next = read(text, slash + 1)
        if not piece then
            return nil
        end
        parts[#parts + 1] = text:sub(at, slash - 1)
        parts[#parts + 1] = piece
        at = next
    end
end

local TOO_MANY = "it holds more values than are read here"

-- A source is the payload that is read, and the number of nodes made of it.
local function make(source, first, next, what, value)
    source.made = source.made + 1
    if source.made > MAX_NODES then
        return nil, TOO_MANY
    end
    return {[what] = value, first = first, last = next - 1}, next
end

local function make_text(source, first, next, text)
    if not well_formed(text) then
        return nil, "a text is not UTF-8, or holds a lone surrogate" -- LIMIT-24
    end
    return make(source, first, next, "text", text)
end

-- Appends a node, if there is one, and gives where it ends, or else nil and the reason.
local function append(items, node, next)
    items[#items + 1] = node
    return node and next, next
end

local function is_command(name)
    return #name <= MAX_COMMAND and name:find("^[A-Z_]+$") ~= nil -- CODEC-4
end

-- ---- JSON.

local JSON_ESCAPES = {
    ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}
local JSON_CONSTANTS = {"^true", "^false", "^null"}

local function json_escape(text, at)
    local letter = text:sub(at, at)
    if letter ~= "u" then
        return JSON_ESCAPES[letter], at + 1
    end
    local unit = hex(text, at + 1, 4)
    if not unit or is_low(unit) then
        return nil -- LIMIT-24
    elseif not is_high(unit) then
        return utf8_of(unit), at + 5
    end
    local low = text:sub(at + 5, at + 6) == "\\u" and hex(text, at + 7, 4)
    if not low or not is_low(low) then
        return nil -- ASCII-9, LIMIT-24
    end
    return pair(unit, low), at + 11
end

local function read_string(source, at)
    local stop, byte = at, nil
    repeat
        stop = source.bytes:find('["\\]', stop + 1)
        if not stop then
            return nil, "a string has no end"
        end
        byte = source.bytes:byte(stop)
        stop = byte == QUOTE and stop or stop + 1
    until byte == QUOTE
    local raw = source.bytes:sub(at + 1, stop - 1)
    local text = not raw:find("[\0-\31]") and unescape(raw, json_escape)
    if not text then
        return nil, "a string holds a control character or a broken escape"
    end
    return make_text(source, at, stop + 1, text)
end

local function skip_space(bytes, at)
    return bytes:match("^[ \t\r\n]*()", at)
end

-- Reads what stands between brackets.  `read_item` appends to the items and gives where it has come to.
local function read_items(source, at, depth, closer, read_item)
    local bytes, items = source.bytes, {}
    local next = skip_space(bytes, at + 1)
    if bytes:sub(next, next) == closer then
        return items, next + 1
    end
    while true do
        local after, why = read_item(source, next, depth, items)
        if not after then
            return nil, why
        end
        next = skip_space(bytes, after)
        local sign = bytes:sub(next, next)
        if sign == closer then
            return items, next + 1
        elseif sign ~= "," then
            return nil, "there is no comma where one is due"
        end
        next = skip_space(bytes, next + 1)
    end
end

local function read_scalar(source, at)
    local bytes = source.bytes
    for _, constant in ipairs(JSON_CONSTANTS) do
        local _, stop = bytes:find(constant, at)
        if stop then
            return make(source, at, stop + 1, "other", bytes:sub(at, stop))
        end
    end
    local _, stop = bytes:find("^%-?[0-9]+", at)
    if not stop or bytes:find("^%-?0[0-9]", at) then
        return nil, "a value is no JSON" -- JSON-9
    end
    local _, fraction = bytes:find("^%.[0-9]+", stop + 1)
    local _, exponent = bytes:find("^[eE][-+]?[0-9]+", (fraction or stop) + 1)
    return make(source, at, (exponent or fraction or stop) + 1, "other", "a number") -- JSON-13
end

local read_json

local function read_element(source, at, depth, items)
    return append(items, read_json(source, at, depth))
end

local function read_member(source, at, depth, items)
    if source.bytes:byte(at) ~= QUOTE then
        return nil, "a key is no string"
    end
    local key, next = read_string(source, at)
    if not key then
        return nil, next
    end
    local colon = skip_space(source.bytes, next)
    if source.bytes:sub(colon, colon) ~= ":" then
        return nil, "there is no colon where one is due"
    end
    items[#items + 1] = key
    return read_element(source, skip_space(source.bytes, colon + 1), depth, items)
end

local BRACKETS = {["["] = {"]", read_element, "list"}, ["{"] = {"}", read_member, "map"}}

function read_json(source, at, depth)
    local first = source.bytes:sub(at, at)
    if first == '"' then
        return read_string(source, at)
    end
    local bracket = BRACKETS[first]
    if not bracket then
        return read_scalar(source, at)
    elseif depth == DEPTH then
        return nil, "brackets nest too deeply" -- LIMIT-17
    end
    local items, next = read_items(source, at, depth + 1, bracket[1], bracket[2])
    if not items then
        return nil, next
    end
    return make(source, at, next, bracket[3], items)
end

-- A reader gives the command's name as a node, and the arguments in a form that the codec's arranger knows.
local function read_json_message(source)
    local object, next = read_json(source, skip_space(source.bytes, 1), 0)
    if not object then
        return nil, next
    elseif not object.map or skip_space(source.bytes, next) <= #source.bytes then
        return nil, "the message is not one object" -- JSON-7
    end
    local members = {}
    for i = 1, #object.map, 2 do
        members[object.map[i].text] = object.map[i + 1] -- JSON-14
    end
    if not members.type or not members.type.text then
        return nil, "the object has no text `type`" -- JSON-7
    end
    return members.type, members
end

local function arrange_members(command, members)
    local values = {}
    for i, field in ipairs(command) do
        values[i] = members[field.name]
        if not values[i] then
            return nil, field.name .. " is missing" -- JSON-12
        end
    end
    return values
end

-- ---- ASCII.

local WORD = "^[!#-'*-Z\\^-z|~][!#-~]*" -- ASCII-6
local ATOM = "^[!#-+--<>-~]+" -- ASCII-7

local function read_bare(source, at, bare)
    if source.bytes:byte(at) == QUOTE then
        return read_string(source, at)
    end
    local word = source.bytes:match(bare, at)
    if not word then
        return nil, "the line cannot be read from character " .. at .. " on"
    end
    return make(source, at, at + #word, "text", word)
end

-- Reads what `read_item` reads, each after spaces, up to the end.
local function read_fields(source, at, read_item)
    local items = {}
    while at <= #source.bytes do
        local start = source.bytes:match("^ +()", at) -- ASCII-5
        if not start then
            return nil, "there is no space before character " .. at
        end
        local after, why = read_item(source, start, items)
        if not after then
            return nil, why
        end
        at = after
    end
    return items
end

local function read_field(source, at, items)
    return append(items, read_bare(source, at, WORD))
end

local function read_key(source, at, items)
    local key, next = read_bare(source, at, ATOM)
    if not key then
        return nil, next
    elseif source.bytes:sub(next, next) ~= "=" then
        return nil, "there is no = at character " .. next
    end
    items[#items + 1] = key
    return next + 1
end

local function read_status(source, at, items)
    local start, why = read_key(source, at, items)
    if not start then
        return nil, why
    end
    return append(items, read_bare(source, start, ATOM))
end

local function read_names(source, at, items)
    local start, why = read_key(source, at, items)
    if not start then
        return nil, why
    end
    local names, next = {}, start
    if source.bytes:find("^[^ ]", start) then -- ASCII-8
        next, why = append(names, read_bare(source, start, ATOM))
        while next and source.bytes:sub(next, next) == "," do
            next, why = append(names, read_bare(source, next + 1, ATOM))
        end
    end
    if not next then
        return nil, why
    end
    return append(items, make(source, start - 1, next, "list", names))
end

local READ_ENTRY = {roster = read_status, conversations = read_names}

-- Gives the kind of the map that the command takes alone, if it does.
local function map_kind(command)
    local kind = command and command[1] and command[1].kind
    return ITEMS[kind] and kind
end

local function read_ascii(source)
    if source.bytes:find("[^ -~]") then
        return nil, "a byte is not printable ASCII" -- ASCII-11
    end
    source.bytes = source.bytes:match("^.*[^ ]") -- ASCII-5; the line is not blank
    local first, name, next = source.bytes:match("^ *()([A-Z_]+)()")
    if not name or #name > MAX_COMMAND or source.bytes:find("^[^ ]", next) then
        return nil, "a line begins with a command" -- CODEC-4
    end
    local command = make(source, first, next, "text", name)
    local kind = map_kind(command_by_name[name])
    local entries = kind and read_fields(source, next, READ_ENTRY[kind])
    if entries then
        return command, {{map = entries}}
    end
    local values, why = read_fields(source, next, read_field)
    return values and command, values or why -- ASCII-10: fields where a map is due are found to be invalid later
end

-- INVITE's names are so many arguments where arguments have no names.
local function arrange_positions(command, values)
    if command[1] and command[1].kind == "names" then
        return {{list = values}}
    elseif #values ~= #command then
        return nil, "it takes " .. #command .. " fields, not " .. #values -- CODEC-5
    end
    return values
end

-- ---- MessagePack.

local CUT_OFF = "the message is cut off"

-- Of first bytes: what the value is, the width of the length that follows or nil, and bytes besides.
local FORMS = {[0xC0] = {"other", nil, 0}, [0xC2] = {"other", nil, 0}, [0xC3] = {"other", nil, 0}}

local function forms(first, what, widths, besides)
    for i, width in ipairs(widths) do
        FORMS[first + i - 1] = {what, width, besides}
    end
end

forms(0xC4, "other", {1, 2, 4}, 0) -- bin
forms(0xC7, "other", {1, 2, 4}, 1) -- ext
for i, size in ipairs({4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17}) do -- floats, integers, ext of fixed size
    FORMS[0xCA + i - 1] = {"other", nil, size}
end
forms(0xD9, "text", {1, 2, 4}, 0)
forms(0xDC, "list", {2, 4}, 0)
forms(0xDE, "map", {2, 4}, 0)

-- Gives what a value is, how many bytes or values it holds, and where they begin; or nil and the reason.
local function read_head(bytes, at)
    local head = bytes:byte(at)
    if not head then
        return nil, CUT_OFF -- MSGPACK-9
    elseif head < 0x80 or head >= 0xE0 then
        return "other", 0, at + 1
    elseif head < 0x90 then
        return "map", head - 0x80, at + 1
    elseif head < 0xA0 then
        return "list", head - 0x90, at + 1
    elseif head < 0xC0 then
        return "text", head - 0xA0, at + 1
    end
    local form = FORMS[head] -- MSGPACK-6
    if not form then
        return nil, "C1 begins no value"
    end
    local what, width, besides = form[1], form[2], form[3]
    if not width then
        return what, besides, at + 1
    elseif at + width > #bytes then
        return nil, CUT_OFF
    end
    return what, unsigned(bytes, at + 1, width) + besides, at + 1 + width
end

local function read_msgpack(source, at, depth)
    local what, count, start = read_head(source.bytes, at)
    if not what then
        return nil, count
    elseif what == "text" or what == "other" then
        local next = start + count
        if next - 1 > #source.bytes then
            return nil, CUT_OFF
        elseif what == "other" then
            return make(source, at, next, "other", "no text") -- MSGPACK-4
        end
        return make_text(source, at, next, source.bytes:sub(start, next - 1))
    elseif depth == DEPTH then
        return nil, "arrays and maps nest too deeply" -- LIMIT-17
    end
    local items, next, why = {}, start, nil
    for _ = 1, what == "map" and 2 * count or count do
        next, why = append(items, read_msgpack(source, next, depth + 1))
        if not next then
            return nil, why
        end
    end
    return make(source, at, next, what, items)
end

local function read_msgpack_message(source)
    local array, next = read_msgpack(source, 1, 0)
    if not array then
        return nil, next
    elseif next <= #source.bytes then
        return nil, "bytes follow the message" -- MSGPACK-7
    end
    local command = array.list and table.remove(array.list, 1)
    if not command or not command.text then
        return nil, "the message is no array that begins with a str" -- MSGPACK-9
    end
    return command, array.list
end

-- ---- Pickle.  A machine has a source, a stack, the heights of its marks, and a memo.

local STOP = 46
local MAX_PROTOCOL = 5 -- PICKLE-6
local MAX_BYTES = 27 -- of an integer; longer ones are longer than any id

local function push(machine, node, why)
    if not node then
        return why
    end
    machine.stack[#machine.stack + 1] = node
end

local function pop(machine, count)
    local stack = machine.stack
    if #stack - count < (machine.marks[#machine.marks] or 0) then
        return nil
    end
    local nodes = {}
    for i = count, 1, -1 do
        nodes[i] = table.remove(stack)
    end
    return nodes
end

local function pop_to_mark(machine)
    local height = machine.marks[#machine.marks]
    local nodes = height and pop(machine, #machine.stack - height)
    table.remove(machine.marks)
    return nodes
end

-- Takes `count` values off the stack, or those down to the mark.
local function take(machine, count)
    if count then
        return pop(machine, count)
    end
    return pop_to_mark(machine)
end

local function top(machine)
    return #machine.stack > (machine.marks[#machine.marks] or 0) and machine.stack[#machine.stack] or nil
end

-- The functions from here on are what opcodes do.  They are given a machine, the argument and the range of the
-- opcode, and return the reason if it makes no sense.

local function push_value(what, value)
    return function(machine, _, at, next)
        return push(machine, make(machine.source, at, next, what, value))
    end
end

-- `read` gives the text that an argument stands for, or nil.
local function push_text(read)
    return function(machine, argument, at, next)
        local text = read(argument)
        if not text then
            return "a text in the pickle is not written as it should be"
        end
        return push(machine, make_text(machine.source, at, next, text))
    end
end

-- Python 2 byte strings: PICKLE-9.
local function byte_text(bytes)
    if well_formed(bytes) then
        return bytes
    end
    return (bytes:gsub("[\128-\255]", function(byte) return utf8_of(byte:byte()) end))
end

-- PICKLE-10.
local function joined(text)
    return (text:gsub("\237([\160-\175])([\128-\191])\237([\176-\191])([\128-\191])", function(a, b, c, d)
        local high = 0xD000 + (a:byte() - 0x80) * 0x40 + b:byte() - 0x80
        return pair(high, 0xD000 + (c:byte() - 0x80) * 0x40 + d:byte() - 0x80)
    end))
end

local QUOTED_ESCAPES = {
    ["\\"] = "\\", ["'"] = "'", ['"'] = '"',
    a = "\a", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", v = "\v",
}

local function quoted_escape(text, at)
    local letter = text:sub(at, at)
    local octal = text:match("^[0-7][0-7]?[0-7]?", at)
    if octal then
        return string.char(tonumber(octal, 8) % 256), at + #octal
    elseif letter == "x" then
        local byte = hex(text, at + 1, 2)
        return byte and string.char(byte), at + 3
    end
    return QUOTED_ESCAPES[letter] or "\\" .. letter, at + 1
end

local function quoted_text(argument)
    local quote, inner = argument:match("^(['\"])(.*)%1$")
    if not quote or inner:gsub("\\.", ""):find("[\\" .. quote .. "]") then
        return nil
    end
    local text = unescape(inner, quoted_escape)
    return text and byte_text(text)
end

local function raw_escape(text, at)
    local letter = text:sub(at, at)
    local digits = letter == "u" and 4 or letter == "U" and 8
    if not digits then
        return "\\" .. letter, at + 1
    end
    local code = hex(text, at + 1, digits)
    return code and code <= 0x10FFFF and utf8_of(code) or nil, at + 1 + digits
end

-- All other bytes of UNICODE are Latin-1, whatever they look like.
local function raw_text(argument)
    local text = unescape(argument:gsub("[\128-\255]", function(byte) return utf8_of(byte:byte()) end), raw_escape)
    return text and joined(text)
end

-- Gives the decimal digits of a little-endian integer, which may be longer than a number of Lua is exact.
local function decimal(bytes, signed)
    if #bytes > MAX_BYTES then
        return nil
    end
    local negative = signed and #bytes > 0 and bytes:byte(-1) >= 0x80
    local limbs = {} -- seven digits each, the lowest first
    local function grow(factor, carry)
        for i = 1, #limbs do
            local sum = limbs[i] * factor + carry
            limbs[i], carry = sum % 10000000, math.floor(sum / 10000000)
        end
        if carry > 0 then
            limbs[#limbs + 1] = carry
        end
    end
    for i = #bytes, 1, -1 do
        grow(256, negative and 255 - bytes:byte(i) or bytes:byte(i))
    end
    grow(1, negative and 1 or 0)
    local digits = {negative and "-" or "", string.format("%d", limbs[#limbs] or 0)}
    for i = #limbs - 1, 1, -1 do
        digits[#digits + 1] = string.format("%07d", limbs[i])
    end
    return table.concat(digits)
end

local function push_integer(signed)
    return function(machine, argument, at, next)
        local digits = decimal(argument, signed)
        return push(machine, make(machine.source, at, next, digits and "number" or "other", digits or "huge"))
    end
end

local function push_decimal(machine, argument, at, next)
    if not argument:find("^%-?[0-9]+$") then
        return "a decimal number in the pickle has other than digits" -- PICKLE-26
    end
    local sign, digits = argument:match("^(%-?)0*([0-9]+)$")
    return push(machine, make(machine.source, at, next, "number", digits == "0" and digits or sign .. digits))
end

local function push_int(machine, argument, at, next)
    if argument == "00" or argument == "01" then
        return push(machine, make(machine.source, at, next, "other", "a bool")) -- PICKLE-16
    end
    return push_decimal(machine, argument, at, next)
end

local function push_long(machine, argument, at, next)
    return push_decimal(machine, argument:match("^(.-)L?$"), at, next)
end

local function nothing() end

local function mark(machine)
    if #machine.marks == DEPTH then
        return "the pickle has too many open marks" -- PICKLE-24
    end
    machine.marks[#machine.marks + 1] = #machine.stack
end

local LACKING = "the pickle takes more values than it has"
local UNPAIRED = "a map in the pickle has a key without a value"

-- Makes a list or a map of the values down to the mark, or of `count`.  PICKLE-11: a tuple is a list.
local function collect(what, count)
    return function(machine, _, at, next)
        local nodes = take(machine, count)
        if not nodes then
            return LACKING
        elseif what == "map" and #nodes % 2 == 1 then
            return UNPAIRED
        end
        return push(machine, make(machine.source, at, next, what, nodes))
    end
end

-- Adds such values to the list or map below them.
local function extend(what, count)
    return function(machine)
        local nodes = take(machine, count)
        local target = nodes and top(machine)
        if not target or not target[what] then
            return LACKING
        elseif what == "map" and #nodes % 2 == 1 then
            return UNPAIRED
        end
        for _, node in ipairs(nodes) do
            table.insert(target[what], node)
        end
    end
end

local function put(machine, key)
    if not top(machine) then
        return LACKING
    end
    machine.entries = machine.entries + (machine.memo[key] and 0 or 1)
    machine.memo[key] = top(machine)
end

-- Sharing makes values out of nothing, so it is counted like making them.
local function get(machine, key)
    machine.source.made = machine.source.made + 1
    if machine.source.made > MAX_NODES then
        return TOO_MANY
    end
    return push(machine, machine.memo[key], "the pickle gets what it has not put")
end

local function memoize(machine)
    return put(machine, machine.entries)
end

local function with_number(act)
    return function(machine, argument)
        return act(machine, unsigned(argument, 1, #argument, true))
    end
end

local function with_digits(act)
    return function(machine, argument)
        if not argument:find("^[0-9]+$") then
            return "a memo key in the pickle is no number"
        end
        return act(machine, tonumber(argument))
    end
end

-- PICKLE-7, PICKLE-8: whatever is not in this table is refused.
local OPCODES = {}

-- `form` is `fixed`, an argument of `width` bytes; `line`, one up to a line feed; or `counted`, a length of
-- `width` bytes, with a sign or not, and so many bytes.
local function opcode(byte, form, width, act, signed)
    local number = type(byte) == "string" and byte:byte() or byte
    OPCODES[number] = {form = form, width = width, act = act, signed = signed}
end

opcode(0x80, "fixed", 1, function(machine, argument, at)
    if at ~= machine.start or argument:byte() > MAX_PROTOCOL then
        return "PROTO stands elsewhere than at the start, or is of an unknown version" -- PICKLE-27
    end
end)
opcode(0x95, "fixed", 8, nothing) -- FRAME.  PICKLE-4: its length tells nothing
opcode("(", "fixed", 0, mark)
opcode(".", "fixed", 0, nothing) -- STOP
opcode("I", "line", 0, push_int)
opcode("L", "line", 0, push_long)
opcode("J", "fixed", 4, push_integer(true)) -- BININT
opcode("K", "fixed", 1, push_integer(false)) -- BININT1
opcode("M", "fixed", 2, push_integer(false)) -- BININT2
opcode(0x8A, "counted", 1, push_integer(true)) -- LONG1
opcode(0x8B, "counted", 4, push_integer(true), true) -- LONG4
opcode("F", "line", 0, push_value("other", "a float"))
opcode("G", "fixed", 8, push_value("other", "a float")) -- BINFLOAT
opcode("N", "fixed", 0, push_value("other", "None"))
opcode(0x88, "fixed", 0, push_value("other", "a bool")) -- NEWTRUE
opcode(0x89, "fixed", 0, push_value("other", "a bool")) -- NEWFALSE
opcode("S", "line", 0, push_text(quoted_text)) -- STRING
opcode("T", "counted", 4, push_text(byte_text), true) -- BINSTRING
opcode("U", "counted", 1, push_text(byte_text)) -- SHORT_BINSTRING
opcode("V", "line", 0, push_text(raw_text)) -- UNICODE
opcode("X", "counted", 4, push_text(joined)) -- BINUNICODE
opcode(0x8C, "counted", 1, push_text(joined)) -- SHORT_BINUNICODE
opcode(0x8D, "counted", 8, push_text(joined)) -- BINUNICODE8
opcode("l", "fixed", 0, collect("list"))
opcode("]", "fixed", 0, collect("list", 0))
opcode("a", "fixed", 0, extend("list", 1))
opcode("e", "fixed", 0, extend("list"))
opcode("t", "fixed", 0, collect("list"))
opcode(")", "fixed", 0, collect("list", 0))
opcode(0x85, "fixed", 0, collect("list", 1))
opcode(0x86, "fixed", 0, collect("list", 2))
opcode(0x87, "fixed", 0, collect("list", 3))
opcode("d", "fixed", 0, collect("map"))
opcode("}", "fixed", 0, collect("map", 0))
opcode("s", "fixed", 0, extend("map", 2))
opcode("u", "fixed", 0, extend("map"))
opcode("p", "line", 0, with_digits(put))
opcode("q", "fixed", 1, with_number(put))
opcode("r", "fixed", 4, with_number(put))
opcode("g", "line", 0, with_digits(get))
opcode("h", "fixed", 1, with_number(get))
opcode("j", "fixed", 4, with_number(get))
opcode(0x94, "fixed", 0, memoize)

-- Gives the range of an opcode's argument, which may end behind the bytes; nil if that is not known yet, and
-- the reason if it cannot be.
local function extent(bytes, at)
    local found = OPCODES[bytes:byte(at)]
    if not found then
        return nil, string.format("the pickle opcode %02X is not allowed", bytes:byte(at)) -- PICKLE-8
    elseif found.form == "fixed" then
        return at + 1, at + found.width
    elseif found.form == "line" then
        local feed = bytes:find("\n", at + 1, true)
        return feed and at + 1, feed and feed - 1
    end
    local start = at + 1 + found.width
    if start - 1 > #bytes then
        return nil
    end
    local length = unsigned(bytes, at + 1, found.width, true)
    if found.signed and length >= 0x80000000 then
        return nil, "a length in the pickle is negative"
    end
    return start, start + length - 1
end

-- The last pickle that was not all there, and how far it has been walked.  It comes again with the next segment.
local unfinished = {bytes = "", walked = 0}

-- Walks a pickle to where it goes on behind STOP; nil if that has not come, and the reason if it never will.
local function walk_pickle(bytes, first, last)
    local at = first
    if bytes:sub(first, first + #unfinished.bytes - 1) == unfinished.bytes then
        at = first + unfinished.walked -- PICKLE-5
    end
    while at <= #bytes do
        local byte = bytes:byte(at)
        local start, stop = extent(bytes, at)
        if not start and stop then
            return nil, stop
        end
        local next = start and stop + (OPCODES[byte].form == "line" and 2 or 1) or #bytes + 1
        if next - 1 > last then
            return nil, "the message is too long" -- LIMIT-1
        elseif not start or next - 1 > #bytes then
            break
        elseif byte == STOP then
            return next
        end
        at = next
    end
    unfinished = {bytes = bytes:sub(first), walked = at - first}
    return nil
end

-- Runs a pickle that has been walked, from `at` to the end; gives its value, or nil and the reason.
local function run_pickle(source, at)
    local machine = {source = source, start = at, stack = {}, marks = {}, memo = {}, entries = 0}
    local bytes = source.bytes
    while at <= #bytes do
        local found = OPCODES[bytes:byte(at)]
        local start, stop = extent(bytes, at)
        local next = stop + (found.form == "line" and 2 or 1)
        local why = found.act(machine, bytes:sub(start, stop), at, next)
        if why then
            return nil, why
        end
        at = next
    end
    if #machine.stack ~= 1 or #machine.marks > 0 then
        return nil, "the pickle ends with more or less than one value"
    end
    return machine.stack[1]
end

local function read_pickle_message(source)
    local name, next = source.bytes:match("^([A-Z_]+)() ?")
    local command = make(source, 1, next, "text", name)
    if next > #source.bytes then
        return command, {list = {}} -- PICKLE-19
    end
    local value, why = run_pickle(source, next + 1)
    if not value then
        return nil, why
    end
    return command, value
end

local function arrange_pickled(command, value)
    local kind = command[1] and command[1].kind
    if kind == "names" or ITEMS[kind] then
        return {value} -- PICKLE-2
    elseif value.list then
        return arrange_positions(command, value.list) -- PICKLE-11, PICKLE-13
    elseif #command == 1 then
        return {value} -- PICKLE-2, PICKLE-12
    end
    return nil, "it takes a list of " .. #command .. " fields"
end

-- ---- Framers.  They are given the bytes of a segment, where to go on, and how long a payload may be.  They give
-- `next`, where to go on then, and with it `first` and `last` of a payload, if it is not just bytes to skip; or
-- else `need`, how many bytes are missing, false if nobody knows; or else `bad`, the reason.

local function too_long(limit)
    return "a message has at most " .. limit .. " bytes of payload" -- LIMIT-2, LIMIT-20
end

local function frame_line(other_than_blank)
    return function(bytes, at, limit)
        local feed = bytes:find("\n", at, true)
        if not feed then
            local long = #bytes - at > limit -- one more for a carriage return
            return long and {bad = too_long(limit)} or {need = false}
        end
        local last = bytes:byte(feed - 1) == CR and feed > at and feed - 2 or feed - 1 -- ASCII-2, JSON-4
        if last - at + 1 > limit then
            return {bad = too_long(limit), next = feed + 1}
        elseif not bytes:sub(at, last):find(other_than_blank) then
            return {next = feed + 1} -- ASCII-3, JSON-5
        end
        return {first = at, last = last, next = feed + 1}
    end
end

local function frame_length(bytes, at, limit)
    if at + 3 > #bytes then
        return {need = false}
    end
    local length = unsigned(bytes, at, 4) -- MSGPACK-2
    local next = at + 4 + length
    if length > limit then
        return {bad = too_long(limit)} -- MSGPACK-10
    elseif next - 1 > #bytes then
        return {need = next - 1 - #bytes}
    end
    return {first = at + 4, last = next - 1, next = next}
end

local BARE = {"GOODBYE", "LIST_CONVERSATIONS"} -- PICKLE-19

local function is_empty(value)
    local items = value.text or value.list or value.map
    return items and #items == 0 or value.other == "None" -- PICKLE-20
end

-- Skips what may follow a command without arguments, from the space on.  It may come in a later segment.
local function frame_empty(bytes, at, limit)
    local second, third = bytes:sub(at + 1, at + 1), bytes:sub(at + 2, at + 2)
    if second == "" then
        return {need = false}
    elseif second:find("[\r\n]") then
        return {next = at + 1} -- PICKLE-22
    elseif second:find("[A-Z_]") then
        if third == "" then
            return {need = false}
        elseif third:find("[A-Z_ ]") then
            return {next = at + 1} -- PICKLE-21
        end
    end
    local next, why = walk_pickle(bytes, at + 1, at + limit)
    if not next then
        return why and {bad = why} or {need = false}
    end
    local value, reason = run_pickle({bytes = bytes:sub(at + 1, next - 1), made = 0}, 1)
    if not value or not is_empty(value) then
        return {bad = reason or "a value follows a command that takes none", next = next} -- PICKLE-23
    end
    return {next = next} -- PICKLE-20
end

local function frame_pickle(bytes, at, limit)
    local ends = bytes:match("^[\r\n]+()", at)
    if ends then
        return {next = ends} -- PICKLE-18
    elseif bytes:byte(at) == SPACE then
        return frame_empty(bytes, at, limit)
    end
    for _, name in ipairs(BARE) do
        local next = at + #name
        if bytes:sub(at, next - 1) == name then
            local follows = bytes:byte(next) == SPACE and frame_empty(bytes, next, limit) or {next = next}
            -- A value that has begun is waited for.  TCP would give the command once more, where it was in a
            -- segment before, at a time when the codec was not known.
            if follows.need == false and bytes:find("^ [^A-Z_]", next) then
                return follows
            end
            return {first = at, last = next - 1, next = not follows.bad and follows.next or next}
        end
    end
    local name, space = bytes:match("^([A-Z_]*)()", at)
    if #name <= MAX_COMMAND and space > #bytes then
        return {need = false}
    elseif not is_command(name) or bytes:byte(space) ~= SPACE then
        return {bad = "a message begins with a command and a space"} -- PICKLE-17
    end
    local next, why = walk_pickle(bytes, space + 1, at + limit - 1)
    if not next then
        return why and {bad = why} or {need = false}
    end
    return {first = at, last = next - 1, next = next}
end

local HANDLERS = {
    ascii = {frame = frame_line("[^ ]"), read = read_ascii, arrange = arrange_positions},
    json = {frame = frame_line("[^ \t\r]"), read = read_json_message, arrange = arrange_members},
    msgpack = {frame = frame_length, read = read_msgpack_message, arrange = arrange_positions},
    pickle = {frame = frame_pickle, read = read_pickle_message, arrange = arrange_pickled},
}

-- ---- Showing.  A view is the bytes of a segment, or of more that were put together, and where they are shown.

-- Gives a tree item, or nil if there are too many.
local function add(view, tree, name, node, text)
    view.shown = view.shown + 1
    if view.shown > MAX_SHOWN then
        return nil
    end
    local range = view.tvb(view.base + node.first - 1, node.last - node.first + 1)
    return tree:add(fields[name], range, (text:gsub("\0", "\226\144\128"))) -- Wireshark's texts end at NUL
end

local function text_of(node, kind)
    local is_id = kind == "conversation" or kind == "conversations"
    return node.text or is_id and node.number or nil -- PICKLE-15
end

-- The functions that show a field by its kind return the reason if it does not fit.

local function show_text(view, tree, field, node)
    local text = text_of(node, field.kind)
    if not text then
        return field.name .. " is no text" -- CODEC-5
    end
    add(view, tree, field.name, node, text)
    local code = field.kind == "explanation" and text:match("^([a-z][a-z-]*): ")
    if code then
        add(view, tree, "code", node, code)
    end
end

local function show_list(view, tree, name, node)
    if not node.list then
        return name .. " is no list"
    end
    for _, item in ipairs(node.list) do
        if not item.text then
            return name .. " holds what is no text"
        elseif not add(view, tree, name, item, item.text) then
            return nil
        end
    end
end

local function show_names(view, tree, field, node)
    return show_list(view, tree, field.name, node)
end

local function show_status(view, tree, name, node)
    if not node.text then
        return name .. " is no text"
    end
    add(view, tree, name, node, node.text)
end

local function show_map(show_item)
    return function(view, tree, field, node)
        if not node.map then
            return field.name .. " is no map"
        end
        local seen = {}
        for i = 1, #node.map, 2 do
            local key = text_of(node.map[i], field.kind)
            if not key or seen[key] and view.codec ~= "json" then
                return "a key of " .. field.name .. " is no text or stands there twice" -- CODEC-10, JSON-14
            end
            seen[key] = true
            local entry = add(view, tree, field.name, node.map[i], key)
            if not entry then
                return nil
            end
            local why = show_item(view, entry, field.name .. "." .. ITEMS[field.kind], node.map[i + 1])
            if why then
                return why
            end
        end
    end
end

local SHOW = {names = show_names, roster = show_map(show_status), conversations = show_map(show_list)}

local function show_fields(view, tree, command, arguments)
    local values, why = HANDLERS[view.codec].arrange(command, arguments)
    if not values then
        return why
    end
    for i, field in ipairs(command) do
        local show = SHOW[field.kind] or show_text
        why = show(view, tree, field, values[i])
        if why then
            return why
        end
    end
end

local function new_item(view, first, last)
    local item = view.tree:add(improto, view.tvb(first - 1, last - first + 1))
    item:add(fields.codec, view.codec):set_generated()
    item:add(fields.direction, view.sender):set_generated()
    return item
end

local function show_bad(view, first, last, why)
    local kind = why == TOO_MANY and "incomplete" or "malformed"
    new_item(view, first, last):add_proto_expert_info(experts[kind], kind .. ": " .. why)
    table.insert(view.names, "[" .. kind .. "]")
end

local function show_message(view, at, frame)
    local source = {bytes = view.bytes:sub(frame.first, frame.last), made = 0}
    local name, arguments = HANDLERS[view.codec].read(source)
    if not name or not is_command(name.text) then
        return show_bad(view, at, frame.next - 1, name and "a command is 1 to 20 capitals" or arguments) -- CODEC-4
    end
    view.base = frame.first - 1
    local item = new_item(view, at, frame.next - 1)
    item:append_text(", " .. name.text)
    table.insert(view.names, name.text)
    add(view, item, "command", name, name.text)
    local command = command_by_name[name.text]
    if not command or command.from ~= view.sender then -- CONN-9, CONN-11
        item:add_proto_expert_info(experts.unknown_command, "unknown-command of a " .. view.sender)
    end
    local why = command and show_fields(view, item, command, arguments)
    if why then
        item:add_proto_expert_info(experts.invalid, "invalid: " .. why)
    elseif view.shown > MAX_SHOWN then
        item:add_proto_expert_info(experts.incomplete, "incomplete: the packet holds more than is shown")
    end
end

-- ---- The codec of a connection.

-- By connection: the codecs and the frames that told them, in order; there may be more than one, since ports are
-- used again.  `tcp.stream` would tell connections apart, but is not there while Wireshark reads a file.
-- A frame is shown as if what later frames tell were not known, also when it is dissected once more: else it
-- would ask for other bytes than at the first time.  What it has told itself is known then, since Wireshark
-- gives it only those bytes once more that belong to whole messages, which may be too few to tell.
local told = {}

function improto.init()
    told = {}
end

local function connection(view)
    local source = tostring(view.pinfo.src) .. " " .. view.pinfo.src_port
    local target = tostring(view.pinfo.dst) .. " " .. view.pinfo.dst_port
    return view.sender == "client" and source .. " " .. target or target .. " " .. source
end

-- Gives the codec and the frame that told it.
local function codec_told(view)
    local codec, since
    local last = view.pinfo.number - ((view.again or view.pinfo.visited) and 0 or 1)
    for _, entry in ipairs(told[connection(view)] or {}) do
        if entry.since <= last then
            codec, since = entry.codec, entry.since
        end
    end
    return codec, since
end

local function tell(view, codec)
    if not view.pinfo.visited and codec ~= codec_told(view) then
        local entries = told[connection(view)] or {}
        entries[#entries + 1] = {since = view.pinfo.number, codec = codec}
        told[connection(view)] = entries
    end
end

-- Gives the codec that a client's first bytes are written in, nil if they are too few, and the reason if none is.
local function detect(bytes, at)
    local first = bytes:sub(at, at)
    if first == "{" then
        return "json" -- CODEC-12
    elseif first == "\0" then
        return "msgpack" -- CODEC-13
    elseif not first:find("[A-Z]") then
        return nil, first ~= "" and "the first bytes belong to no codec" or nil -- CODEC-15
    end
    -- CODEC-14
    local word = bytes:sub(at, at + MAX_COMMAND):match("^[^ \n]*")
    local after = bytes:sub(at + #word, at + #word)
    local sign = bytes:sub(at + #word + 1, at + #word + 1)
    if after == " " then
        return sign ~= "" and (sign:find("[\128()%]}]") and "pickle" or "ascii") or nil
    end
    return (after ~= "" or #word > MAX_COMMAND) and "ascii" or nil
end

-- Guesses the codec of a server's bytes that stand before the client's, or without them, in a capture.
local function guess(bytes, at)
    local codec, why = detect(bytes, at)
    local line = bytes:match("^[^\r\n]*", at)
    -- An ERROR is a bare text, and a line of ascii holds no controls and nothing beyond 7E.
    if codec == "ascii" and (line:find("^ERROR S['\"]") or line:find("[^ -~]")) then
        return "pickle"
    end
    return codec, why
end

-- Gives the codec if a message begins as in one codec only, at the first place where that can be told.
local function begins_anew(bytes, at)
    if bytes:find("^REGISTER .", at) or bytes:find("^[{\0]", at) then
        return detect(bytes, at)
    end
end

-- Gives the codec and where to begin to read; nil in place of the codec if it cannot be told, with the reason
-- if more bytes would not help.
local function codec_of(view)
    local set = CODECS[improto.prefs.codec]
    local known, since = codec_told(view)
    local start = view.bytes:find("[^ \r\n]") or #view.bytes + 1 -- CODEC-11
    local anew = view.sender == "client" and begins_anew(view.bytes, start)
    if set then
        return set, 1
    elseif known and not anew then
        return known, since == view.pinfo.number and not view.again and start or 1
    elseif view.sender == "server" then
        local codec, why = guess(view.bytes, start)
        return codec, start, why
    end
    local codec, why = detect(view.bytes, start)
    if codec then
        tell(view, codec)
    end
    return codec, start, why
end

-- ---- The dissector.

-- `again`: whether another part of the same frame has just been dissected.
local function new_view(tvb, pinfo, tree)
    return {
        tvb = tvb,
        pinfo = pinfo,
        tree = tree,
        bytes = tvb:raw(),
        -- The port that made it improto is the server's.
        sender = pinfo.match == pinfo.dst_port and "client" or "server",
        again = pinfo.private.improto ~= nil,
        names = {},
        base = 0,
        shown = 0,
    }
end

-- Asks for more bytes, to be called again with all from `at` on; says so if there will be none.
local function ask(view, at, need)
    if view.pinfo.can_desegment > 0 then
        view.pinfo.desegment_offset = at - 1
        view.pinfo.desegment_len = need or DESEGMENT_ONE_MORE_SEGMENT
    else
        new_item(view, at, #view.bytes):add_proto_expert_info(experts.incomplete)
        table.insert(view.names, "[incomplete]")
    end
end

local function dissect_all(view, at)
    while at <= #view.bytes do
        local frame = HANDLERS[view.codec].frame(view.bytes, at, LIMITS[view.sender])
        local next = frame.next or #view.bytes + 1
        if frame.need ~= nil then
            return ask(view, at, frame.need)
        elseif frame.bad then
            show_bad(view, at, next - 1, frame.bad) -- CONN-24
        elseif frame.first then
            show_message(view, at, frame)
        end
        at = next
    end
end

local function show_columns(view)
    local private, info = view.pinfo.private, view.pinfo.cols.info
    view.pinfo.cols.protocol = "IMPROTO"
    if #view.names > 0 then
        if private.improto == "listed" then
            info:append(", ")
        else
            info:clear()
        end
        info:append(table.concat(view.names, ", "))
        info:fence()
        private.improto = "listed"
    elseif not view.again then
        private.improto = "nothing listed"
    end
end

function improto.dissector(tvb, pinfo, tree)
    if tvb:len() == 0 then
        return
    end
    local view = new_view(tvb, pinfo, tree)
    local codec, start, why = codec_of(view)
    view.codec = codec or "unknown"
    if codec then
        dissect_all(view, start)
    elseif why then
        show_bad(view, 1, #view.bytes, why)
    else
        ask(view, 1, false)
    end
    show_columns(view)
end

DissectorTable.get("tcp.port"):add(PORT, improto)
