# What `cmake --install` lays down: the program, libnestwalk (all folders in one static library) with its public headers and
# pkg-config file, the manual page and completion, and the shipped data.
get_property(folders GLOBAL PROPERTY NESTWALK_FOLDERS)
set(objects "")
foreach(folder IN LISTS folders)
  # A folder may take objects of other targets among its sources (one file compiled for several instruction sets).
  get_target_property(others nw_${folder} SOURCES)
  list(FILTER others INCLUDE REGEX "TARGET_OBJECTS")
  list(APPEND objects $<TARGET_OBJECTS:nw_${folder}> ${others})
  install(DIRECTORY "${CMAKE_SOURCE_DIR}/${folder}/include/nestwalk" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
          FILES_MATCHING PATTERN "*.h")
endforeach()
add_library(libnestwalk STATIC ${objects})
set_target_properties(libnestwalk PROPERTIES OUTPUT_NAME nestwalk LINKER_LANGUAGE C)
install(TARGETS libnestwalk ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS nestwalk RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

# What the folders link. It stands under Libs rather than Requires.private: libnestwalk is a static library, so its user always
# links these, and only these; what they in turn link is their own business (they are shared libraries).
get_property(NESTWALK_PC_LIBS GLOBAL PROPERTY NESTWALK_PC_LIBS)
foreach(folder IN LISTS folders)
  get_target_property(libraries nw_${folder} LINK_LIBRARIES)
  list(FILTER libraries INCLUDE REGEX "^/.*\\.(so|a)$") # found without pkg-config
  list(TRANSFORM libraries REPLACE "^.*/lib([^/]+)\\.(so|a)$" "-l\\1")
  list(APPEND NESTWALK_PC_LIBS ${libraries})
endforeach()
list(APPEND NESTWALK_PC_LIBS -lpthread -lm)
list(REMOVE_DUPLICATES NESTWALK_PC_LIBS)
list(JOIN NESTWALK_PC_LIBS " " NESTWALK_PC_LIBS)
# The prefix is the one given at install time, which may differ from the configured one.
install(CODE "
  set(PROJECT_DESCRIPTION \"${PROJECT_DESCRIPTION}\")
  set(PROJECT_VERSION \"${PROJECT_VERSION}\")
  set(CMAKE_INSTALL_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
  set(CMAKE_INSTALL_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
  set(NESTWALK_PC_LIBS \"${NESTWALK_PC_LIBS}\")
  get_filename_component(CMAKE_INSTALL_PREFIX \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  configure_file(\"${CMAKE_SOURCE_DIR}/cmake/nestwalk.pc.in\" \"${CMAKE_BINARY_DIR}/nestwalk.pc\" @ONLY)")
install(FILES "${CMAKE_BINARY_DIR}/nestwalk.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# Shipped traces; scenarios/ installs its own data (machines, scenarios, schema) beside them.
install(DIRECTORY "${CMAKE_SOURCE_DIR}/traces/shipped/" DESTINATION "${CMAKE_INSTALL_DATADIR}/nestwalk/traces"
        FILES_MATCHING PATTERN "*.nwt")
install(FILES "${CMAKE_SOURCE_DIR}/README.md" "${CMAKE_SOURCE_DIR}/CHANGELOG.md" "${CMAKE_SOURCE_DIR}/LICENSE"
        DESTINATION "${CMAKE_INSTALL_DOCDIR}")
install(DIRECTORY "${CMAKE_SOURCE_DIR}/docs/" DESTINATION "${CMAKE_INSTALL_DOCDIR}/docs" FILES_MATCHING PATTERN "*.md")

add_subdirectory(packaging)
