# How every target of ours is compiled. Generated code is not ours and gets none of this.
add_library(pump_warnings INTERFACE)
target_compile_options(pump_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion
                       -Wstrict-prototypes -Wmissing-prototypes $<$<BOOL:${PUMP_WERROR}>:-Werror>)
if(PUMP_FUZZ)
  set(PUMP_SANITIZE ON)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(PUMP_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
