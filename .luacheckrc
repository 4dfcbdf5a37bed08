std = "lua54"
max_line_length = 100
files["spec"] = { std = "lua54+busted" }
-- What a function takes is all that the meta file says of it.
files["library"] = { ignore = { "212", "241" } }
exclude_files = { "build*" }
