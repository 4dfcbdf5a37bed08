rockspec_format = "3.0"
package = "pump"
version = "scm-1"
source = { url = "." }
description = {
  summary = "EventStore client for Lua, with an embedded store",
  license = "MIT",
}
dependencies = { "lua ~> 5.4" }
external_dependencies = {
  UV = { header = "uv.h" },
  PROTOBUF_C = { header = "protobuf-c/protobuf-c.h" },
  CURL = { header = "curl/curl.h" },
  MICROHTTPD = { header = "microhttpd.h" },
  OPENSSL = { header = "openssl/ssl.h" },
  SQLITE = { header = "sqlite3.h" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    -- Beside the module: luarocks takes all that is in lib/ for modules.
    CMAKE_INSTALL_LIBDIR = "c/lib",
    CMAKE_INSTALL_INCLUDEDIR = "c/include",
    PUMP_LUA_DIR = "$(LUADIR)",
    PUMP_LUA_CDIR = "$(LIBDIR)",
    PUMP_TESTS = "OFF",
  },
}
test = { type = "busted" }
