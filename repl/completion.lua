-- What bash and zsh need to complete the arguments of pumpsh, from the tables of commands and
-- options. The scripts stand for themselves: pressing a key starts no pumpsh.

local completion = {}

local function quote(s)
  return "'" .. s:gsub("'", "'\\''") .. "'"
end

local function names_of(option)
  local long = "--" .. option[1]
  return option.short and { "-" .. option.short, long } or { long }
end

local function for_command_line(list)
  local found = {}
  for _, command in ipairs(list) do
    if command.only ~= "shell" then found[#found + 1] = command end
  end
  return found
end

local function words_of(options)
  local words = {}
  for _, option in ipairs(options) do
    for _, name in ipairs(names_of(option)) do words[#words + 1] = name end
  end
  return table.concat(words, " ")
end

-- Every option of pumpsh and its commands, once.
local function all_options(list, options)
  local all, known = {}, {}
  local function add(more)
    for _, option in ipairs(more or {}) do
      if not known[option[1]] then all[#all + 1] = option end
      known[option[1]] = true
    end
  end
  add(options)
  for _, command in ipairs(list) do add(command.options) end
  return all
end

---- bash ----------------------------------------------------------------------------------------

local bash = [==[
# Completion of pumpsh for bash; made by pumpsh --completion bash.
_pumpsh() {
  local line=${COMP_LINE:0:COMP_POINT} words word before= command= choices=
  read -ra words <<<"$line"
  local current=
  [[ $line == *[[:blank:]] ]] || { current=${words[-1]}; unset 'words[-1]'; }
  COMPREPLY=()
  for word in "${words[@]:1}"; do
    case $before in
      @WITH_VALUE@) before= ; continue ;;
    esac
    before=$word
    [[ $word == -* || -n $command ]] || command=$word
  done
  case $before in
@CHOICES@
    @WITH_VALUE@) return ;;
  esac
  if [[ $current == -* ]]; then
    choices=@OPTIONS@
    case $command in
@COMMAND_OPTIONS@
    esac
  elif [[ -z $command ]]; then
    choices=@COMMANDS@
  elif [[ $command == serve ]]; then
    choices='memory: file:'
  fi
  [[ $current == *[:=]* ]] || COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
complete -o bashdefault -o default -F _pumpsh pumpsh
]==]

function completion.bash(list, options)
  list = for_command_line(list)
  local with_value, choices, command_options, names = {}, {}, {}, {}
  for _, option in ipairs(all_options(list, options)) do
    local pattern = table.concat(names_of(option), "|")
    if option[2] then with_value[#with_value + 1] = pattern end
    if option.one_of then
      choices[#choices + 1] = string.format("    %s)\n      COMPREPLY=($(compgen -W %s -- "
        .. '"$current"))\n      return ;;', pattern, quote(table.concat(option.one_of, " ")))
    elseif option[2] == "FILE" then
      choices[#choices + 1] = string.format("    %s) compopt -o filenames; COMPREPLY=($(compgen -f "
        .. '-- "$current")); return ;;', pattern)
    end
  end
  for i, command in ipairs(list) do
    names[i] = command.name
    if command.options then
      command_options[#command_options + 1] = string.format("      %s) choices+=%s ;;",
        command.name, quote(" " .. words_of(command.options)))
    end
  end
  local parts = {
    WITH_VALUE = table.concat(with_value, "|"), CHOICES = table.concat(choices, "\n"),
    OPTIONS = quote(words_of(options)), COMMAND_OPTIONS = table.concat(command_options, "\n"),
    COMMANDS = quote(table.concat(names, " ")),
  }
  return (bash:gsub("@([%u_]+)@", parts))
end

---- zsh -----------------------------------------------------------------------------------------

local zsh = [==[
#compdef pumpsh
# Completion of pumpsh for zsh; made by pumpsh --completion zsh.
_pumpsh() {
  local curcontext=$curcontext state line
  local -a options commands
  options=(
@OPTIONS@
  )
  commands=(
@COMMANDS@
  )
  _arguments -C -s $options '1: :->command' '*:: :->arguments'
  case $state in
    command)
      _describe -t commands command commands
      _files -g '*.lua'
      ;;
    arguments)
      case $words[1] in
@COMMAND_OPTIONS@
        *) _arguments $options '*: :_files' ;;
      esac
      ;;
  esac
}
_pumpsh "$@"
]==]

-- In the language of _arguments, colons and brackets mean something.
local function described(s)
  return (s:gsub("…", "..."):gsub("[%[%]:]", "\\%0"))
end

local function argument_of(option)
  if not option[2] then return "" end
  local action = option.one_of and "(" .. table.concat(option.one_of, " ") .. ")"
    or option[2] == "FILE" and "_files" or " "
  return string.format(":%s:%s", described(option[2]), action)
end

local function specs_of(options, margin)
  local lines = {}
  for _, option in ipairs(options) do
    local repeated = option.many and "*" or ""
    for _, name in ipairs(names_of(option)) do
      local assigned = option[2] and name:find("^%-%-") and "=" or option[2] and "+" or ""
      lines[#lines + 1] = margin .. quote(string.format("%s%s%s[%s]%s", repeated, name, assigned,
        described(option.help), argument_of(option)))
    end
  end
  return table.concat(lines, "\n")
end

function completion.zsh(list, options)
  list = for_command_line(list)
  local names, command_options = {}, {}
  for i, command in ipairs(list) do
    names[i] = "    " .. quote(command.name .. ":" .. described(command.help))
    if command.options then
      command_options[#command_options + 1] = string.format(
        "        %s) _arguments $options \\\n%s \\\n          '*: :%s' ;;", command.name,
        (specs_of(command.options, "          "):gsub("\n", " \\\n")),
        command.name == "serve" and "(memory\\: file\\:)" or " ")
    end
  end
  local parts = {
    OPTIONS = specs_of(options, "    "), COMMANDS = table.concat(names, "\n"),
    COMMAND_OPTIONS = table.concat(command_options, "\n"),
  }
  return (zsh:gsub("@([%u_]+)@", parts))
end

return completion
