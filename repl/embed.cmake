# Writes a C file that holds Lua files: cmake -DROOT=… -DOUTPUT=… -DFILES=a;b -P embed.cmake
# A file lua/pump/x.lua is the module pump.x, repl/x.lua is repl.x, init.lua its folder's.
set(arrays "")
set(entries "")
set(count 0)
foreach(path IN LISTS FILES)
  string(REGEX REPLACE "^lua/" "" name ${path})
  string(REGEX REPLACE "(/init)?\\.lua$" "" module ${name})
  string(REPLACE "/" "." module ${module})
  file(READ ${ROOT}/${path} bytes HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
  string(APPEND arrays "static const unsigned char file_${count}[] = {${bytes}0};\n")
  string(APPEND entries
    "  {\"${module}\", \"=${name}\", file_${count}, sizeof file_${count} - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"pumpsh.h\"\n\n${arrays}
const pumpsh_file pumpsh_files[] = {\n${entries}  {0, 0, 0, 0},\n};\n")
