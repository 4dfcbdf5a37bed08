-- The options of pumpsh itself, which may stand anywhere on its command line; as a command's own
-- are told in repl/args.lua.

local format = require "repl.format"

return {
  { "url", "URL", short = "u",
    help = "where to: tcp://…, discover://…, memory:, file:PATH (else PUMP_URL, else memory:)" },
  { "user", "NAME", help = "who we are; the password is in PUMP_PASSWORD, or see -W" },
  { "ask-password", short = "W", help = "ask for the password" },
  { "format", "FORMAT", one_of = format.names, help = "table, json, jsonl or raw" },
  { "timeout", "S", number = true, help = "seconds that connecting, or an answer, may take" },
  { "execute", "CHUNK", short = "e", many = true, help = "run a chunk of Lua; may be repeated" },
  { "interactive", short = "i", help = "stay in the shell after -e" },
  { "quiet", short = "q", help = "no remarks" },
  { "no-color", help = "no colours" },
  { "no-init", short = "X", help = "without the init file" },
  { "version", help = "which one this is" },
  { "help", help = "this; after a command, what that takes" },
  { "man", help = "the manual page, for man -l -" },
  { "completion", "SHELL", one_of = { "bash", "zsh" },
    help = "what bash or zsh needs to complete pumpsh's arguments" },
}
