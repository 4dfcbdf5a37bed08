# pump_library(NAME AS name OBJECTS layer… [PUBLIC target…] [PRIVATE target…]): a public library
# made of the objects of some layers. NAME is shared, NAME_static static, both called libNAME and
# pump::name / pump::name_static by CMake programs. Only what is PUMP_API can be seen of the shared one.
include(CMakePackageConfigHelpers)

function(pump_library name)
  cmake_parse_arguments(arg "" "AS" "OBJECTS;PUBLIC;PRIVATE" ${ARGN})
  list(TRANSFORM arg_OBJECTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
  add_library(${name} SHARED ${arg_OBJECTS})
  # A thread that looks up a name may outlive whoever loaded the library.
  target_link_options(${name} PRIVATE -Wl,-z,nodelete)
  add_library(${name}_static STATIC ${arg_OBJECTS})
  set_target_properties(${name} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0
                        EXPORT_NAME ${arg_AS})
  set_target_properties(${name}_static PROPERTIES OUTPUT_NAME ${name} EXPORT_NAME ${arg_AS}_static)
  foreach(target ${name} ${name}_static)
    target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${target} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  endforeach()
  install(TARGETS ${name} ${name}_static EXPORT pump)
  string(REPLACE _ - file ${name})
  # The prefix is known when it is installed, not before.
  file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${file}.pc.in ${PROJECT_BINARY_DIR}/${file}.pc @ONLY)
  install(FILES ${PROJECT_SOURCE_DIR}/src/${name}.h TYPE INCLUDE)
  install(FILES ${PROJECT_BINARY_DIR}/${file}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

# What find_package(pump) reads, for all libraries together.
function(pump_package)
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/pump)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/pumpConfig.cmake.in
                                ${PROJECT_BINARY_DIR}/pumpConfig.cmake
                                INSTALL_DESTINATION ${folder})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/pumpConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/pumpConfig.cmake ${PROJECT_BINARY_DIR}/pumpConfigVersion.cmake
          DESTINATION ${folder})
  install(EXPORT pump NAMESPACE pump:: FILE pumpTargets.cmake DESTINATION ${folder})
endfunction()
